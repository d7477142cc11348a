/**
 * The network between the clients and the agent: passes every message on, keeps a note of it, sends some commands twice,
 * and, to every process that an agent has just welcomed, the last command of the agent before and one of an epoch that
 * never was.
 */
import { create } from '@bufbuild/protobuf';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Random } from '../../../agent/core/tune/random.ts';
import {
  type Command,
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  ControlService,
  KnobState,
} from '../../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import { callBidi } from '../../../agent/rpc/calls.ts';
import { serviceDefinition } from '../../../agent/rpc/service_definition.ts';

const TWICE = 0.3;

export interface RelayEvents {
  welcomed(component: string, epoch: bigint): void;
  /** A command was put in force, of which epoch. */
  applied(component: string, epoch: bigint): void;
  /** One that must not be was. */
  obeyed(component: string, commandId: string): void;
}

interface Seen {
  /** The last of each agent that went through. */
  command: Command | undefined;
  readonly commandIds: Set<string>;
}

export class Relay {
  readonly #target: string;
  readonly #random: Random;
  readonly #events: RelayEvents;
  readonly #server = new Server();
  readonly #seen = new Map<string, Seen>();
  readonly #epochs = new Map<string, bigint>();
  readonly #forbidden = new Set<string>();
  sentTwice = 0;
  injected = 0;

  constructor(target: string, random: Random, events: RelayEvents) {
    this.#target = target;
    this.#random = random;
    this.#events = events;
  }

  async listen(address: string): Promise<void> {
    this.#server.addService(serviceDefinition(ControlService), {
      connect: (call: ServerDuplexStream<ConnectRequest, ConnectResponse>) => this.#carry(call),
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  close(): void {
    this.#server.forceShutdown();
  }

  /** Different commands for a component, since its process was started last. */
  commandsFor(component: string): number {
    return this.#seenOf(component).commandIds.size;
  }

  /** A new process has been started. */
  forget(component: string): void {
    this.#seen.delete(component);
  }

  #carry(down: ServerDuplexStream<ConnectRequest, ConnectResponse>): void {
    const client = new Client(this.#target, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const up = callBidi(client, ControlService.method.connect);
    let component = '';
    down.on('data', (request: ConnectRequest) => {
      const { message } = request;
      if (message.case === 'hello') component = message.value.component;
      if (message.case === 'result') {
        const { commandId, knobResults } = message.value;
        if (knobResults.some(({ state }) => state === KnobState.APPLIED)) {
          if (this.#forbidden.has(commandId)) this.#events.obeyed(component, commandId);
          else this.#events.applied(component, this.#epochs.get(commandId) ?? 0n);
        }
      }
      up.write(request);
    });
    down.on('end', () => up.end());
    down.on('cancelled', () => client.close());
    up.on('data', (response: ConnectResponse) => {
      down.write(response);
      const { message } = response;
      if (message.case === 'command') this.#command(component, message.value, down);
      if (message.case === 'welcome') {
        this.#events.welcomed(component, message.value.epoch);
        this.#provoke(component, message.value.epoch, down);
      }
    });
    up.on('end', () => down.end());
    up.on('error', ({ code, details }: ServiceError) => {
      down.emit('error', { code, details });
      client.close();
    });
  }

  #command(component: string, command: Command, down: ServerDuplexStream<ConnectRequest, ConnectResponse>): void {
    const seen = this.#seenOf(component);
    seen.command = command;
    seen.commandIds.add(command.commandId);
    this.#epochs.set(command.commandId, command.epoch);
    if (this.#random.next() >= TWICE) return;
    this.sentTwice++;
    down.write(commandMessage({ ...command, nonce: `${command.nonce}-again` }));
  }

  #provoke(component: string, epoch: bigint, down: ServerDuplexStream<ConnectRequest, ConnectResponse>): void {
    const { command } = this.#seenOf(component);
    if (command === undefined || command.epoch === epoch) return;
    const stale = { ...command, commandId: `${command.commandId}-stale`, nonce: 'stale' };
    const forged = { ...command, commandId: `${command.commandId}-forged`, nonce: 'forged', epoch: epoch + 100n };
    for (const wrong of [stale, forged]) {
      this.injected++;
      this.#forbidden.add(wrong.commandId);
      down.write(commandMessage(wrong));
    }
  }

  #seenOf(component: string): Seen {
    let seen = this.#seen.get(component);
    if (seen === undefined) {
      seen = { command: undefined, commandIds: new Set() };
      this.#seen.set(component, seen);
    }
    return seen;
  }
}

function commandMessage(value: Command): ConnectResponse {
  return create(ConnectResponseSchema, { message: { case: 'command', value } });
}
