/** What the wire tests of the control channel share: a real server whose engine is the test, and raw clients. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import {
  type ControlServer,
  type ControlServerOptions,
  createControlServer,
} from '../../agent/adapters/control/control_server.ts';
import type { ControlInput, ControlNotice, ControlPorts } from '../../agent/adapters/control/ports.ts';
import { MeasuredResults } from '../../agent/core/analytics/results.ts';
import { Answers } from '../../agent/core/answers.ts';
import { createEngine, type Engine } from '../../agent/core/engine.ts';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import type { Command } from '../../agent/core/model.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  ControlService,
} from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import { callBidi, callUnary } from '../../agent/rpc/calls.ts';
import { type ChannelAccess, callMetadata, channelCredentials } from '../../agent/rpc/channel_access.ts';

/** Things that arrive, and whoever waits for them. Waiting ends when a thing arrives, or with the test. */
export class Arrivals<T> {
  readonly all: T[] = [];
  readonly #waiting: { readonly wants: (thing: T) => boolean; readonly resolve: (thing: T) => void }[] = [];
  #taken = 0;

  readonly push = (thing: T): void => {
    this.all.push(thing);
    const i = this.#waiting.findIndex(({ wants }) => wants(thing));
    if (i >= 0) this.#waiting.splice(i, 1)[0]?.resolve(thing);
  };

  /** The first that `wants` accepts, of those that have arrived or will. */
  first<S extends T>(wants: (thing: T) => thing is S): Promise<S>;
  first(wants: (thing: T) => boolean): Promise<T>;
  first(wants: (thing: T) => boolean): Promise<T> {
    const found = this.all.find(wants);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.#waiting.push({ wants, resolve }));
  }

  /** The next in order. */
  next(): Promise<T> {
    const i = this.#taken++;
    const there = this.all[i];
    if (there !== undefined) return Promise.resolve(there);
    return new Promise((resolve) =>
      this.#waiting.push({ wants: () => this.all.length > i, resolve: () => resolve(this.all[i]!) }),
    );
  }
}

export interface Rig {
  readonly server: ControlServer;
  readonly inbox: Arrivals<ControlInput>;
  readonly notices: Arrivals<ControlNotice>;
  readonly address: string;
  stop(): Promise<void>;
}

export function answersOf(engine: Engine): Answers {
  const thresholds = () => DEFAULT_HEALTH_THRESHOLDS;
  return new Answers({ engine, results: new MeasuredResults(), thresholds, observedSinceMs: 0 });
}

export function emptyPorts(inbox: (input: ControlInput) => void): ControlPorts {
  const engine = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
  return {
    inbox,
    snapshot: () => ({ atMs: 0, frozen: false, components: [] }),
    answers: answersOf(engine),
    insights: engine,
    nowMs: () => 0,
    component: () => undefined,
    decisions: () => [],
    explain: () => undefined,
    audit: { asked: () => () => undefined },
    advice: { list: () => [] },
    resources: {
      report: () => ({
        usage: { atMs: 0, machine: {}, components: [] },
        allocation: { atMs: 0, pools: [], grants: [] },
        ...{ bottlenecks: [], applied: [] },
      }),
    },
  };
}

export async function startRig(
  options: Partial<Omit<ControlServerOptions, 'observer'>> & { readonly listen: readonly string[] },
  ports: Partial<ControlPorts> = {},
): Promise<Rig> {
  const inbox = new Arrivals<ControlInput>();
  const notices = new Arrivals<ControlNotice>();
  const server = createControlServer({
    epoch: 1,
    heartbeatIntervalMs: 5_000,
    ...options,
    ports: { ...emptyPorts(inbox.push), ...ports },
    observer: notices.push,
  });
  await server.start();
  return {
    server,
    inbox,
    notices,
    address: server.addresses[0]!,
    stop: () => server.stop(AbortSignal.timeout(1_000)),
  };
}

/** One question to the server. */
export function ask<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
) {
  return callUnary(client, method, create(method.input, request), 10_000);
}

/** What operators ask goes to the engine, and its reply back. */
export function stepping(loop: { readonly engine: Engine; readonly nowMs: number }, rig: () => Rig) {
  return (input: ControlInput): void => {
    if (input.kind !== 'operator') return;
    for (const effect of loop.engine.step(loop.nowMs, input)) {
      if (effect.kind === 'reply') rig().server.perform(effect);
    }
  };
}

/** A folder that goes with the test. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'perfopt-control-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export function command(fields: Partial<Command> = {}): Command {
  const revision = fields.revision ?? 1;
  return {
    commandId: `embedder/1/${revision}`,
    component: 'embedder',
    epoch: 1,
    revision,
    changes: [{ knob: 'batch_size', value: 16 }],
    atomicity: 'all',
    validateOnly: false,
    leaseTtlMs: 60_000,
    onExpiry: 'baseline',
    applyDeadlineMs: 5_000,
    rationale: { strategy: 'spsa', reason: 'a probe' },
    ...fields,
  };
}

export type HelloInit = Extract<
  NonNullable<MessageInitShape<typeof ConnectRequestSchema>['message']>,
  { case: 'hello' }
>['value'];

/** A client without any of our library: says exactly what the test says. */
export class RawClient {
  readonly received = new Arrivals<ConnectResponse['message']>();
  readonly client: Client;
  readonly stream: ClientDuplexStream<ConnectRequest, ConnectResponse>;
  readonly ended: Promise<ServiceError | undefined>;

  constructor(address: string, access: ChannelAccess = {}) {
    this.client = new Client(address, channelCredentials(access), { 'grpc.use_local_subchannel_pool': 1 });
    this.stream = callBidi(this.client, ControlService.method.connect, callMetadata(access));
    this.stream.on('data', ({ message }: ConnectResponse) => this.received.push(message));
    this.ended = new Promise((resolve) => {
      this.stream.on('error', (error: ServiceError) => resolve(error));
      this.stream.on('end', () => queueMicrotask(() => resolve(undefined)));
    });
  }

  send(message: MessageInitShape<typeof ConnectRequestSchema>['message']): void {
    this.stream.write(create(ConnectRequestSchema, { message: message! }));
  }

  hello(fields: Partial<HelloInit> = {}): void {
    this.send({ case: 'hello', value: { ...helloInit(), ...fields } as HelloInit }); // An init is a plain object here.
  }

  async welcomed(fields: Partial<HelloInit> = {}): Promise<void> {
    this.hello(fields);
    await this.received.first((message) => message.case === 'welcome');
  }

  close(): void {
    this.client.close();
  }
}

export function intKnob(id: string) {
  return {
    id,
    domain: { case: 'intDomain' as const, value: { min: 1, max: 64 } },
    defaultValue: { kind: { case: 'intValue' as const, value: 8n } },
  };
}

export function helloInit() {
  return {
    instanceUid: 'uid-1',
    incarnation: 1n,
    component: 'embedder',
    tier: 3,
    capabilities: [1, 2, 3],
    knobs: [intKnob('batch_size')],
  };
}
