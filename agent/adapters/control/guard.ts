/**
 * Stands before every method of a service: finds out who calls, refuses what they may not do, keeps their pace, and writes
 * down what operators do. It is put around whole services, so that no method can be forgotten; a method whose name does not
 * say that it only reads is an operator's.
 */
import { type DescMessage, type DescMethod, type DescService, type MessageShape, toJson } from '@bufbuild/protobuf';
import { type StatusObject, status, type UntypedHandleCall, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Access, Caller, Peer, Refusal, Role, Transport } from './access.ts';
import type { AuditTrail, ControlObserver } from './ports.ts';
import { RateLimit } from './rate_limit.ts';

export interface GuardOptions {
  readonly access: Access;
  readonly transport: Transport;
  readonly audit: AuditTrail;
  readonly observer: ControlObserver;
  readonly requestsPerSecond: number;
  readonly nowMs: () => number;
}

/** Methods that processes call; what they may say there of which component is for the method itself to check. */
const OF_PROCESSES: ReadonlySet<string> = new Set(['connect', 'watchKnobs', 'reportOutcome']);
const READS = /^(?:get|list|query|explain|watch|tap|check|optimizeResourceAllocation)/;
const RANK: Readonly<Record<Role, number>> = { process: 0, observer: 1, operator: 2 };
const MAX_REQUEST = 2_048;
const REFUSALS_PER_SECOND = 5;

type Call = Caller & { request?: unknown; getPeer(): string; emit(event: string, ...rest: unknown[]): boolean };
type Callback = (error: Partial<StatusObject> | null, value?: unknown, ...rest: unknown[]) => void;
type Handle = (call: Call, callback?: Callback) => void;

export class Guard {
  readonly #options: GuardOptions;
  readonly #pace: RateLimit;
  readonly #refusals: RateLimit;
  readonly #peers = new WeakMap<object, Peer>();

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#pace = new RateLimit(options.requestsPerSecond, options.nowMs);
    this.#refusals = new RateLimit(REFUSALS_PER_SECOND, options.nowMs);
  }

  /** Who makes a call that was let in. */
  peerOf(call: object): Peer {
    const peer = this.#peers.get(call);
    if (peer === undefined) throw new Error('a call that has not passed the guard');
    return peer;
  }

  around(service: DescService, handlers: UntypedServiceImplementation): UntypedServiceImplementation {
    return Object.fromEntries(
      service.methods.map((method) => [method.localName, this.#before(method, handlers[method.localName])]),
    );
  }

  /** For a service of somebody else's here, which only reads and asks by itself what of. */
  aroundServed(service: DescService, handlers: UntypedServiceImplementation): UntypedServiceImplementation {
    return Object.fromEntries(
      service.methods.map(({ name, localName }) => [localName, this.#letIn(name, 'process', handlers[localName])]),
    );
  }

  /** For a service that is not generated here: all of it is for observers. */
  aroundForeign(handlers: UntypedServiceImplementation): UntypedServiceImplementation {
    const guarded = Object.entries(handlers).map(([name, handler]) => [name, this.#letIn(name, 'observer', handler)]);
    return Object.fromEntries(guarded);
  }

  #before(method: DescMethod, handler: UntypedHandleCall | undefined): UntypedHandleCall {
    const { localName } = method;
    const least = OF_PROCESSES.has(localName) ? 'process' : READS.test(localName) ? 'observer' : 'operator';
    const write = least === 'operator' && method.methodKind === 'unary';
    return this.#letIn(method.name, least, handler, write ? method : undefined);
  }

  #letIn(name: string, least: Role, handler: UntypedHandleCall | undefined, audited?: DescMethod): UntypedHandleCall {
    if (handler === undefined) throw new Error(`${name} has no handler`);
    // grpc-js types a handler by its kind; what comes before one is the same for all kinds.
    const handle = handler as Handle;
    const guarded: Handle = (call, callback) => {
      const peer = this.#admit(name, least, call);
      if ('code' in peer) {
        this.#refuse(name, peer, call, callback, audited);
        return;
      }
      this.#peers.set(call, peer);
      if (audited === undefined || callback === undefined) {
        handle(call, callback);
        return;
      }
      const answered = this.#asked(audited, call, peer);
      // Whom a credential names is who asks, whatever the request says.
      if (peer.isKnown && isOf(call.request)) call.request.by = peer.name;
      handle(call, (error, value, ...rest) => {
        answered(
          error === null
            ? { ok: true, message: messageOf(value) }
            : { ok: false, message: error.details ?? 'refused without a reason' },
        );
        callback(error, value, ...rest);
      });
    };
    return guarded as UntypedHandleCall;
  }

  /** Told and written down at a pace that nobody can fill a disk with. */
  #refuse(
    name: string,
    { code, reason, peer }: Refusal & { readonly peer?: Peer },
    call: Call,
    callback?: Callback,
    audited?: DescMethod,
  ): void {
    if (this.#refusals.take()) {
      if (audited !== undefined) this.#asked(audited, call, peer)({ ok: false, message: reason });
      this.#options.observer({ kind: 'access_refused', method: name, address: this.#addressOf(call), reason });
    }
    const error = { code, details: reason };
    if (callback === undefined) call.emit('error', error);
    else callback(error);
  }

  #admit(name: string, least: Role, call: Call): Peer | (Refusal & { readonly peer?: Peer }) {
    const { access, transport, requestsPerSecond } = this.#options;
    const peer = access.who(call, transport);
    if ('code' in peer) return peer;
    if (RANK[peer.role] < RANK[least]) {
      const way = transport === 'loopback' ? '; use the Unix socket, or the token of an operator' : '';
      return {
        peer,
        code: status.PERMISSION_DENIED,
        reason: `${name} is for the role ${least}; this peer is ${described(peer)}${way}`,
      };
    }
    if (!this.#pace.take())
      return {
        peer,
        code: status.RESOURCE_EXHAUSTED,
        reason: `more than ${requestsPerSecond} calls a second; try again later`,
      };
    return peer;
  }

  #asked({ name, input }: DescMethod, call: Call, peer?: Peer) {
    return this.#options.audit.asked({
      who: peer?.name ?? 'unknown',
      role: peer?.role ?? 'none',
      address: this.#addressOf(call),
      action: name,
      request: textOf(input, call.request),
      dryRun: isOf(call.request) && call.request.validateOnly === true,
    });
  }

  #addressOf(call: Call): string {
    const { transport } = this.#options;
    return transport === 'socket' ? transport : call.getPeer();
  }
}

function described({ name, role }: Peer): string {
  return name === 'socket' || name === 'loopback' ? `one without a credential, in the role ${role}` : name;
}

function isOf(request: unknown): request is { by?: string; validateOnly?: boolean } {
  return typeof request === 'object' && request !== null && 'by' in request;
}

function messageOf(response: unknown): string {
  const hasMessage = typeof response === 'object' && response !== null && 'message' in response;
  return hasMessage && typeof response.message === 'string' ? response.message : 'done';
}

/** As JSON, cut. What is not a message of ours cannot get here: grpc-js has parsed it. */
function textOf(schema: DescMessage, request: unknown): string {
  const text = JSON.stringify(toJson(schema, request as MessageShape<DescMessage>));
  return text.length > MAX_REQUEST ? `${text.slice(0, MAX_REQUEST)}…` : text;
}
