/**
 * The connection: dials, says Hello, keeps alive, and dials again with jittered backoff, for ever. It never waits for
 * anything and never throws into its host; a message that finds no stream is dropped, as the next Hello tells what is
 * held anyway. What a slow agent does not take is bounded: beyond that messages are dropped and counted, and the gap in
 * the heartbeat's count makes the agent ask for the full state.
 */
import { Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import {
  type ConnectRequest,
  type ConnectResponse,
  ControlService,
} from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { callBidi } from '../../rpc/calls.ts';
import { type ChannelAccess, callMetadata, channelCredentials } from '../../rpc/channel_access.ts';
import { AFTER_REFUSAL_MS, afterTakeoverMs, backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';
import { encodeBye, encodeHeartbeat } from './codec.ts';
import { unref } from './unref_credentials.ts';

const MAX_QUEUED = 256;
/** Time for the Bye to leave before the connection is closed. */
const FAREWELL_MS = 250;
/** An agent that accepts a connection and then says nothing is as good as none. */
const WELCOME_WITHIN_MS = 10_000;

export interface LinkPorts {
  /** grpc-js targets, tried in turn. */
  readonly targets: readonly string[];
  /** Asked at every attempt: what it reads may have been renewed. */
  access(): ChannelAccess;
  readonly clock: Clock;
  readonly random: () => number;
  hello(): ConnectRequest;
  received(message: ConnectResponse): void;
  /** The stream is gone. `permanent`: the agent refused the Hello, and would again. */
  lost(reason: string, permanent: boolean): void;
}

/** What will be refused again until somebody changes something. */
const REFUSALS: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
]);

type Stream = ClientDuplexStream<ConnectRequest, ConnectResponse>;

export class Link {
  readonly #ports: LinkPorts;
  #client: Client | undefined;
  #stream: Stream | undefined;
  #welcomed = false;
  #blocked = false;
  readonly #queue: ConnectRequest[] = [];
  #made = 0;
  #dropped = 0;
  #failures = 0;
  #takeovers = 0;
  #callOffTimer = (): void => {};
  #closed = false;

  constructor(ports: LinkPorts) {
    this.#ports = ports;
  }

  /** Messages that a slow agent did not take. */
  get dropped(): number {
    return this.#dropped;
  }

  get open(): boolean {
    return this.#stream !== undefined;
  }

  /** Dials, unless it is connected already. */
  dial(): void {
    if (this.#closed || this.#stream) return;
    this.#callOffTimer();
    const { targets, clock } = this.#ports;
    const target = targets[this.#failures % targets.length]!; // `connectTuner` has at least one.
    try {
      const access = this.#ports.access();
      this.#client = new Client(target, unref(channelCredentials(access)), {
        // A channel of our own for each attempt: grpc-js's connection backoff would add itself to ours.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.keepalive_time_ms': 10_000,
        'grpc.keepalive_timeout_ms': 5_000,
        'grpc.enable_channelz': 0,
        'grpc.service_config_disable_resolution': 1,
      });
      const stream = callBidi(this.#client, ControlService.method.connect, callMetadata(access));
      this.#stream = stream;
      stream.on('data', (message: ConnectResponse) => this.#receive(stream, message));
      stream.on('drain', () => this.#flush(stream));
      stream.on('error', (error: ServiceError) => this.#lose(stream, error.details || error.message, error.code));
      stream.on('end', () => this.#lose(stream, 'the agent ended the session', status.OK));
      this.#made = 0;
      this.#blocked = false;
      this.#callOffTimer = clock.after(WELCOME_WITHIN_MS, () => {
        if (!this.#welcomed) this.#lose(stream, 'no Welcome in time', status.DEADLINE_EXCEEDED);
      });
      this.send(this.#ports.hello());
    } catch (error) {
      this.#lose(this.#stream, error instanceof Error ? error.message : String(error), status.INTERNAL);
    }
  }

  /** Sends when there is a stream, and drops when there is none. */
  send(message: ConnectRequest): void {
    const stream = this.#stream;
    if (!stream) return;
    this.#made++;
    if (!this.#blocked) this.#blocked = !stream.write(message);
    else if (this.#queue.length < MAX_QUEUED) this.#queue.push(message);
    else this.#dropped++;
  }

  /** The agent welcomed us: begin to send signs of life. */
  welcomed(heartbeatIntervalMs: number): void {
    this.#welcomed = true;
    this.#failures = 0;
    this.#callOffTimer();
    const beat = (): void => {
      // Behind a queue it would say nothing that the queue does not say when it gets through.
      if (this.#queue.length === 0) this.send(encodeHeartbeat(this.#made + 1));
      this.#callOffTimer = this.#ports.clock.after(heartbeatIntervalMs, beat);
    };
    this.#callOffTimer = this.#ports.clock.after(heartbeatIntervalMs, beat);
  }

  /** Leaves in peace, for good. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#callOffTimer();
    const [stream, client] = [this.#stream, this.#client];
    this.#stream = undefined;
    this.#client = undefined;
    if (!stream || !client) return;
    this.#queue.length = 0;
    stream.write(encodeBye(reason));
    stream.end();
    const callOff = this.#ports.clock.after(FAREWELL_MS, () => client.close());
    stream.on('end', () => {
      callOff();
      client.close();
    });
  }

  #receive(stream: Stream, message: ConnectResponse): void {
    if (stream === this.#stream) this.#ports.received(message);
  }

  #flush(stream: Stream): void {
    if (stream !== this.#stream) return;
    this.#blocked = false;
    while (!this.#blocked) {
      const message = this.#queue.shift();
      if (!message) return;
      this.#blocked = !stream.write(message);
    }
  }

  #lose(stream: Stream | undefined, reason: string, code: status): void {
    if (stream !== this.#stream) return;
    this.#callOffTimer();
    this.#client?.close();
    this.#client = undefined;
    this.#stream = undefined;
    this.#welcomed = false;
    this.#queue.length = 0;
    if (this.#closed) return;
    // A Hello that was refused, or a component that someone else took over, is not for asking again at once.
    const permanent = REFUSALS.has(code);
    const wait = permanent ? AFTER_REFUSAL_MS : backoffMs(this.#failures, this.#ports.random);
    this.#failures++;
    const isTakenOver = code === status.ABORTED;
    this.#callOffTimer = this.#ports.clock.after(isTakenOver ? afterTakeoverMs(this.#takeovers++) : wait, () =>
      this.dial(),
    );
    this.#ports.lost(reason, permanent);
  }
}
