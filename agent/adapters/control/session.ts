/**
 * One process's session, from its Hello to its end. It checks what the process says and passes on what makes sense;
 * what is to be done about it, resends included, is the engine's to decide.
 *
 * One command is in flight at a time. A newer one supersedes it: the engine is told so at once, and an answer to the
 * older that still comes is ignored, so that it cannot be taken for one to the newer.
 */
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { Command, HeldKnob, KnobMode, KnobResult, KnobSpec, KnobValue, Manifest } from '../../core/model.ts';
import type {
  ConnectRequest,
  ConnectResponse,
  Hello,
  Holding,
  ManualOverride,
  Result,
} from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { Capability } from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { commandMessage } from '../../rpc/prepared.ts';
import type { Peer } from './access.ts';
import { encodeRenewal, encodeReportFullState, encodeRevoke, encodeWelcome } from './encode.ts';
import { quote, readHello, readHolding } from './hello.ts';
import { Outgoing } from './outgoing.ts';
import type { ControlEffect, ControlLimits, ControlObserver, SessionInput } from './ports.ts';
import { RateLimit } from './rate_limit.ts';
import { type Read, readKnobValue, readResults } from './results.ts';
import type { After } from './timer.ts';

/** A session that is silent for this many heartbeats is over. */
const MISSED_HEARTBEATS = 3;
/** A process that connects says Hello within this time. */
const HELLO_WITHIN_MS = 10_000;
/** A manifest is checked whole and opens its component anew: that is dearer than any other message. */
const HELLOS_PER_SECOND = 20;
/** Commands whose late words (EXPIRED, ROLLED_BACK) are still understood. */
const MAX_REMEMBERED = 64;

/** What a session needs of the house it is in. */
export interface SessionHouse {
  readonly epoch: number;
  readonly heartbeatIntervalMs: number;
  readonly limits: ControlLimits;
  readonly after: After;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly observer: ControlObserver;
  /** Makes the session one of its component's, ending an older one of the same instance; or says why it cannot be. */
  admit(session: Session, manifest: Manifest): string | undefined;
  /** The session is over. */
  left(session: Session): void;
  inbox(input: SessionInput, from: Session): void;
  modes(component: string): ReadonlyMap<string, KnobMode>;
}

export class Session {
  readonly #house: SessionHouse;
  readonly #peer: Peer;
  readonly #pace: RateLimit;
  readonly #hellos: RateLimit;
  readonly #out: Outgoing<ConnectResponse>;
  #manifest: Manifest | undefined;
  #specs: ReadonlyMap<string, KnobSpec> = new Map();
  #capabilities: ReadonlySet<number> = new Set();
  /** What the process last said is in force. */
  readonly #effective = new Map<string, HeldKnob>();
  #inFlight: Command | undefined;
  readonly #remembered = new Set<string>();
  #modes: ReadonlyMap<string, KnobMode> = new Map();
  #received = 0;
  #heard = false;
  #silentBeats = 0;
  #sent = 0;
  #ended = false;
  #callOffTimer: () => void;

  constructor(call: ServerDuplexStream<ConnectRequest, ConnectResponse>, peer: Peer, house: SessionHouse) {
    this.#house = house;
    this.#peer = peer;
    this.#pace = new RateLimit(house.limits.messagesPerSecond, house.nowMs);
    this.#hellos = new RateLimit(HELLOS_PER_SECOND, house.nowMs);
    this.#out = new Outgoing(call, house.limits.maxQueuedMessages, () =>
      this.end(status.RESOURCE_EXHAUSTED, 'the process reads too slowly: its queue has run over'),
    );
    this.#callOffTimer = house.after(HELLO_WITHIN_MS, () =>
      this.end(status.DEADLINE_EXCEEDED, `no Hello within ${HELLO_WITHIN_MS} ms`),
    );
    call.on('data', (message: ConnectRequest) => this.#receive(message));
    call.on('end', () => this.#leave('the process closed its stream'));
    call.on('cancelled', () => this.#leave('the connection was lost'));
  }

  /** Absent before the Hello. */
  get manifest(): Manifest | undefined {
    return this.#manifest;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What the process holds that is not simply its baseline, as far as it has said. */
  get holding(): readonly HeldKnob[] {
    return [...this.#effective.values()].filter(({ manual, revision }) => manual || revision > 0);
  }

  /** Ends the session with a status that tells the process why. */
  end(code: status, reason: string): void {
    if (this.#close(reason)) this.#out.fail(code, reason);
  }

  command(command: Command): void {
    const lacking = this.#whyIncapable(command);
    if (lacking !== undefined) {
      this.#pass(command.commandId, this.#resultsFor(command, 'rejected_permanent', lacking));
      return;
    }
    const older = this.#inFlight;
    if (older && older.commandId !== command.commandId)
      this.#pass(older.commandId, this.#resultsFor(older, 'superseded', `superseded by ${command.commandId}`));
    this.#inFlight = command;
    this.#remember(command.commandId);
    this.#out.send(commandMessage(command, String(++this.#sent), (knob) => this.#specs.get(knob)?.type));
  }

  renew(effect: ControlEffect & { kind: 'renewal' }): void {
    this.#out.send(encodeRenewal(effect));
  }

  revoke(effect: ControlEffect & { kind: 'revoke' }): void {
    this.#out.send(encodeRevoke(effect));
  }

  /** Tells the process what the tuner may do, when that is not what it was told last. */
  refreshModes(): void {
    if (!this.#manifest) return;
    const modes = this.#house.modes(this.#manifest.component);
    if (sameModes(modes, this.#modes)) return;
    this.#welcome(modes);
  }

  #receive({ message }: ConnectRequest): void {
    if (this.#ended) return;
    if (!this.#pace.take() || (message.case === 'hello' && !this.#hellos.take())) {
      const { messagesPerSecond } = this.#house.limits;
      const most = `${messagesPerSecond} messages or ${HELLOS_PER_SECOND} Hellos a second`;
      this.#refuse(status.RESOURCE_EXHAUSTED, `the process sends more than ${most}`);
      return;
    }
    this.#received++;
    this.#heard = true;
    if (this.#manifest === undefined && message.case !== 'hello') {
      this.end(status.INVALID_ARGUMENT, 'the first message of a session must be a Hello');
      return;
    }
    switch (message.case) {
      case 'hello':
        this.#hello(message.value);
        return;
      case 'result':
        this.#result(message.value);
        return;
      case 'heartbeat':
        this.#heartbeat(Number(message.value.seq));
        return;
      case 'manualOverride':
        this.#override(message.value);
        return;
      case 'holding':
        this.#holding(message.value);
        return;
      case 'bye':
        this.#leave(`the process said Bye${message.value.reason && `: ${quote(message.value.reason)}`}`);
        return;
      default:
        this.#ignore('a message of a kind that this agent does not know');
    }
  }

  #hello(hello: Hello): void {
    const read = readHello(hello, this.#house.limits.maxKnobs);
    if (!read.ok) {
      this.#refuse(status.INVALID_ARGUMENT, read.problem);
      return;
    }
    const { manifest } = read;
    const before = this.#manifest;
    if (before && !sameProcess(before, manifest)) {
      this.#refuse(
        status.INVALID_ARGUMENT,
        'hello: component, instance_uid and incarnation cannot change in a session; open a new one',
      );
      return;
    }
    if (!this.#peer.mayHold(manifest.component)) {
      const what = `${this.#peer.name} may not speak for component ${quote(manifest.component)}`;
      this.#refuse(status.PERMISSION_DENIED, `hello: ${what}; see control.access in the configuration of the agent`);
      return;
    }
    const refusal = this.#house.admit(this, manifest);
    if (refusal !== undefined) {
      this.#refuse(status.FAILED_PRECONDITION, refusal);
      return;
    }
    this.#manifest = manifest;
    this.#specs = new Map(manifest.knobs.map((spec) => [spec.id, spec]));
    this.#capabilities = new Set(hello.capabilities);
    this.#believe(manifest.held);
    // The welcome goes first: whatever the engine says to this Hello must find the process ready to hear it.
    this.#welcome(this.#house.modes(manifest.component));
    if (before === undefined) {
      this.#callOffTimer();
      this.#watchSilence();
      const { component, knobs, held } = manifest;
      this.#house.observer({ kind: 'session_opened', component, knobs: knobs.length, held: held.length });
    }
    this.#house.inbox({ kind: 'session', event: 'opened', manifest }, this);
  }

  #welcome(modes: ReadonlyMap<string, KnobMode>): void {
    this.#modes = modes;
    this.#out.send(encodeWelcome(this.#house.epoch, this.#house.heartbeatIntervalMs, modes));
  }

  #result({ commandId, knobResults }: Result): void {
    const read = readResults(knobResults, this.#specs);
    if (!read.ok) {
      this.#ignore(read.problem);
      return;
    }
    const results = read.value;
    if (commandId === this.#inFlight?.commandId) {
      if (results.every(isFinal)) this.#inFlight = undefined;
    } else if (!results.every((result) => isTakenBack(result) && this.#isOurs(commandId, result))) {
      this.#ignore(`a result of ${quote(commandId)}, which is not in flight`);
      return;
    }
    for (const result of results) this.#note(result);
    this.#pass(commandId, results);
  }

  #note({ knob, state, effectiveValue: value, effectiveRevision: revision }: KnobResult): void {
    if (!this.#specs.has(knob)) return;
    const before = this.#effective.get(knob);
    // A change that was refused leaves what there was: a hand's, or an earlier agent's.
    const isStill = state !== 'applied' && before?.revision === revision;
    const { epoch, manual } = isStill && before ? before : { epoch: this.#house.epoch, manual: false };
    this.#effective.set(knob, { knob, value, epoch, revision, manual });
  }

  /** Of this session and not long ago, or its value is what the process has last said is in force, however long that has been so. */
  #isOurs(commandId: string, { knob, attemptedRevision }: KnobResult): boolean {
    return this.#remembered.has(commandId) || this.#effective.get(knob)?.revision === attemptedRevision;
  }

  #heartbeat(seq: number): void {
    const missing = seq - this.#received;
    this.#received = seq;
    if (missing <= 0 || this.#manifest === undefined) return;
    const { component } = this.#manifest;
    this.#house.observer({ kind: 'full_state_requested', component, missing });
    this.#out.send(encodeReportFullState(`${missing} messages of this session have not arrived`));
  }

  #override({ knob, value: wire }: ManualOverride): void {
    const read: Read<KnobValue> = readKnobValue(wire, knob, this.#specs);
    if (!read.ok || !this.#manifest) {
      this.#ignore(`a manual override: ${read.ok ? 'no Hello' : read.problem}`);
      return;
    }
    this.#effective.set(knob, { knob, value: read.value, epoch: 0, revision: 0, manual: true });
    this.#house.inbox({ kind: 'override', component: this.#manifest.component, knob, value: read.value }, this);
  }

  #holding(holding: Holding): void {
    if (!this.#manifest) return;
    const { component, knobs } = this.#manifest;
    const read = readHolding(holding.held, knobs);
    if (!read.ok) {
      this.#ignore(read.problem);
      return;
    }
    this.#believe(read.held);
    this.#house.inbox({ kind: 'holding', component, held: read.held }, this);
  }

  #believe(held: readonly HeldKnob[]): void {
    this.#effective.clear();
    for (const entry of held) this.#effective.set(entry.knob, entry);
  }

  #whyIncapable(command: Command): string | undefined {
    const can = this.#capabilities;
    if (command.validateOnly && !can.has(Capability.VALIDATE_ONLY)) return 'the client cannot check without applying';
    if (command.onExpiry !== 'baseline' && !can.has(Capability.ON_EXPIRY))
      return 'the client can only return to baselines when a lease runs out';
    if (command.atomicity === 'all' && command.changes.length > 1 && !can.has(Capability.ATOMIC))
      return 'the client cannot apply all or none of several changes';
    return undefined;
  }

  #resultsFor(command: Command, state: KnobResult['state'], error: string): readonly KnobResult[] {
    return command.changes.map(({ knob }) => {
      const effective = this.#effective.get(knob);
      return {
        knob,
        state,
        effectiveValue: effective?.value ?? this.#specs.get(knob)?.baseline ?? '',
        attemptedRevision: command.revision,
        effectiveRevision: effective?.revision ?? 0,
        error,
      };
    });
  }

  #pass(commandId: string, results: readonly KnobResult[]): void {
    if (this.#manifest)
      this.#house.inbox({ kind: 'result', component: this.#manifest.component, commandId, results }, this);
  }

  #remember(commandId: string): void {
    this.#remembered.add(commandId);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#remembered;
    if (oldest !== undefined) this.#remembered.delete(oldest);
  }

  #watchSilence(): void {
    this.#callOffTimer = this.#house.after(this.#house.heartbeatIntervalMs, () => {
      this.#silentBeats = this.#heard ? 0 : this.#silentBeats + 1;
      this.#heard = false;
      if (this.#silentBeats >= MISSED_HEARTBEATS)
        this.end(status.DEADLINE_EXCEEDED, `${MISSED_HEARTBEATS} heartbeats in a row were missed`);
      else this.#watchSilence();
    });
  }

  #ignore(reason: string): void {
    this.#house.observer({ kind: 'message_ignored', component: this.#manifest?.component ?? '', reason });
  }

  #refuse(code: status, reason: string): void {
    this.#house.observer({ kind: 'session_refused', reason });
    this.end(code, reason);
  }

  #leave(reason: string): void {
    if (this.#close(reason)) this.#out.end();
  }

  #close(reason: string): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#callOffTimer();
    this.#house.left(this);
    if (this.#manifest) {
      const { component } = this.#manifest;
      this.#house.observer({ kind: 'session_closed', component, reason });
      this.#house.inbox({ kind: 'session', event: 'closed', component, reason }, this);
    }
    return true;
  }
}

function isFinal({ state }: KnobResult): boolean {
  return state !== 'applying' && state !== 'draining';
}

function isTakenBack({ state }: KnobResult): boolean {
  return state === 'expired' || state === 'rolled_back';
}

function sameProcess(a: Manifest, b: Manifest): boolean {
  return a.component === b.component && a.instanceUid === b.instanceUid && a.incarnation === b.incarnation;
}

function sameModes(a: ReadonlyMap<string, KnobMode>, b: ReadonlyMap<string, KnobMode>): boolean {
  return a.size === b.size && [...a].every(([knob, mode]) => b.get(knob) === mode);
}
