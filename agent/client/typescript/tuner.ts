import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type KnobMode, type KnobSpec, type KnobValue, type Rationale, TIERS, type Tier } from '../../core/model.ts';
import type { ConnectResponse } from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { DEFAULT_TCP_ADDRESS, defaultSocketPath, grpcTarget, parseAddress } from '../../rpc/address.ts';
import { accessFrom, type ChannelAccess } from '../../rpc/channel_access.ts';
import { type Clock, systemClock } from './clock.ts';
import { decodeIncoming, encodeHello, encodeReport, type Identity } from './codec.ts';
import { boolSpec, type EnumOptions, enumSpec, type KnobOptions, type NumericOptions, numericSpec } from './declare.ts';
import { Holdings, type Report } from './holdings.ts';
import { type ChangeListener, type Knob, TransientRejection } from './knob.ts';
import { Link } from './link.ts';
import { type Monitored, Monitoring, type MonitoringTotals } from './monitoring.ts';
import { SavedValues } from './saved_values.ts';

export type {
  ChangeListener,
  ChannelAccess,
  Clock,
  EnumOptions,
  Knob,
  KnobMode,
  KnobOptions,
  Monitored,
  MonitoringTotals,
  NumericOptions,
  Rationale,
  Tier,
};
export { TransientRejection };

/** Whether an agent is there. A process serves either way. */
export type TunerStatus =
  | { readonly state: 'connected'; readonly epoch: number }
  | { readonly state: 'disconnected'; readonly reason: string };

export interface TunerOptions {
  /** The component's name: the same as `service.name` in its telemetry. */
  readonly component: string;
  /** How much harm the component's owner tolerates, from `critical` (none) to `research`. */
  readonly tier: Tier;
  /**
   * `unix:/path` or `host:port`. Otherwise what PERFOPT_CONTROL_ADDRESS says; otherwise the user's default socket and,
   * where nobody answers there, 127.0.0.1:4319.
   */
  readonly address?: string;
  /**
   * Where the agent asks for more than reaching its address: a token, or PEM files for mutual TLS. Otherwise what
   * PERFOPT_CONTROL_TOKEN (or _TOKEN_FILE), PERFOPT_CONTROL_CA, _CERT and _KEY say. Files are read at every attempt.
   */
  readonly access?: ChannelAccess;
  /** Stable per process instance; a random one otherwise. */
  readonly instanceUid?: string;
  /** OpenTelemetry resource attributes beyond `process.pid` and `host.name`. */
  readonly resource?: Readonly<Record<string, string>>;
  /**
   * A file of this component alone, where tuned values are kept over a restart of the process: a value whose lease has not run
   * out is in force again as soon as its knob is declared, until the lease ends or the agent renews it. None otherwise.
   */
  readonly snapshotPath?: string;
  /** Told when the session opens and ends. What it throws is ignored. */
  readonly onStatus?: (status: TunerStatus) => void;
  /** Time and chance, for tests. */
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly wallMs?: () => number;
}

/**
 * Lets an agent tune this process. Resolves at once, whether an agent is there or not, and keeps looking for one in the
 * background without ever keeping the process alive for it.
 */
export async function connectTuner(options: TunerOptions): Promise<Tuner> {
  if (options.component.trim() === '') throw new RangeError('connectTuner: component must not be empty');
  if (!TIERS.includes(options.tier))
    throw new RangeError(`connectTuner: tier ${JSON.stringify(options.tier)} is not one of ${TIERS.join(', ')}`);
  return new Tuner(options);
}

/** Declares knobs, and holds what the agent says of them for as long as it says so. Made by `connectTuner`. */
export class Tuner {
  readonly #options: TunerOptions;
  readonly #identity: Identity;
  readonly #holdings: Holdings;
  readonly #link: Link;
  readonly #monitoring: Monitoring;
  #modes: ReadonlyMap<string, KnobMode> = new Map();
  #status: TunerStatus = { state: 'disconnected', reason: 'not connected yet' };
  #helloScheduled = false;
  #refused = false;
  #dialled = false;
  #closed = false;
  #unreadable = 0;

  constructor(options: TunerOptions) {
    const { component, tier, clock = systemClock, random = Math.random } = options;
    this.#options = options;
    this.#identity = {
      component,
      tier,
      instanceUid: options.instanceUid ?? randomUUID(),
      incarnation: Date.now(),
      resource: {
        'service.name': component,
        'process.pid': String(process.pid),
        'host.name': hostname(),
        ...options.resource,
      },
    };
    this.#monitoring = new Monitoring(() => clock.nowMs());
    const { snapshotPath } = options;
    const saved =
      snapshotPath === undefined ? undefined : new SavedValues(snapshotPath, component, options.wallMs ?? Date.now);
    const report = (said: Report): void =>
      this.#link.send(encodeReport(said, (knob) => this.#holdings.spec(knob)?.type));
    this.#holdings = new Holdings(clock, report, saved);
    this.#link = new Link({
      targets: targets(options.address ?? process.env.PERFOPT_CONTROL_ADDRESS),
      access: () => options.access ?? accessFrom(process.env),
      clock,
      random,
      hello: () => this.#hello(),
      received: (message) => this.#receive(message),
      lost: (reason, permanent) => this.#lost(reason, permanent),
    });
    this.#scheduleHello();
  }

  /** Whole numbers from `min` to `max`. */
  int(id: string, options: NumericOptions): Knob<number> {
    return this.#declare(numericSpec(id, 'int', options), options, isNumber);
  }

  /** Real numbers from `min` to `max`. */
  double(id: string, options: NumericOptions): Knob<number> {
    return this.#declare(numericSpec(id, 'double', options), options, isNumber);
  }

  /** Durations from `min` to `max`, in seconds. */
  duration(id: string, options: NumericOptions): Knob<number> {
    return this.#declare(numericSpec(id, 'duration', options), options, isNumber);
  }

  bool(id: string, options: KnobOptions<boolean>): Knob<boolean> {
    return this.#declare(boolSpec(id, options), options, (value) => typeof value === 'boolean');
  }

  /** One of `values`. */
  enum<const T extends string>(id: string, options: EnumOptions<T>): Knob<T> {
    const words: readonly string[] = options.values;
    return this.#declare(enumSpec(id, options), options, (value): value is T => words.includes(String(value)));
  }

  /**
   * Runs one request and measures it: `executionTimeMs`, and how many were under way. What `execute` throws is thrown on.
   */
  executeWithMonitoring<Request, Allocation, Result>(
    request: Request,
    allocation: Allocation,
    execute: (request: Request, allocation: Allocation) => Result | PromiseLike<Result>,
  ): Promise<Monitored<Result, Allocation>> {
    return this.#monitoring.run(request, allocation, execute);
  }

  /** Sums over everything that `executeWithMonitoring` ran. */
  get monitoring(): MonitoringTotals {
    return this.#monitoring.totals;
  }

  get status(): TunerStatus {
    return this.#status;
  }

  /** What the agent may do with each knob, as far as it has said. */
  get modes(): ReadonlyMap<string, KnobMode> {
    return this.#modes;
  }

  /** Messages dropped because the agent was too slow to take them. */
  get droppedMessages(): number {
    return this.#link.dropped;
  }

  /** Leaves the agent. Every knob that it had tuned returns to its default; values set by hand stay. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#holdings.release();
    this.#link.close('closed by the process');
    this.#say({ state: 'disconnected', reason: 'closed' });
  }

  #declare<T extends KnobValue>(
    spec: KnobSpec,
    { readBack }: KnobOptions<T>,
    isValue: (value: KnobValue) => value is T,
  ): Knob<T> {
    const record = this.#holdings.declare(spec, readBack);
    this.#scheduleHello();
    const holdings = this.#holdings;
    // Only values of the declared domain get in, so this is never the fallback; it is what the compiler cannot know.
    const typed = (value: KnobValue): T => (isValue(value) ? value : initial);
    const initial = record.value as T; // The declaration's own default, of type T.
    return {
      id: spec.id,
      get value() {
        return typed(record.value);
      },
      onChange(listener: ChangeListener<T>) {
        const untyped: ChangeListener<KnobValue> = (value, rationale) => listener(typed(value), rationale);
        record.listeners.add(untyped);
        return () => {
          record.listeners.delete(untyped);
        };
      },
      set: (value) => holdings.override(record, value),
    };
  }

  /** A burst of declarations, also just after `await connectTuner`, is one Hello: it waits for the event loop's next turn. */
  #scheduleHello(): void {
    if (this.#helloScheduled || this.#closed) return;
    this.#helloScheduled = true;
    setImmediate(() => {
      this.#helloScheduled = false;
      if (this.#closed) return;
      // A stream that has not been welcomed yet needs the new manifest just as well.
      if (this.#link.open) this.#link.send(this.#hello());
      // Never dialled yet, or refused with a manifest that has changed now: no reason to wait.
      else if (this.#refused || !this.#dialled) this.#link.dial();
      this.#dialled = true;
    });
  }

  #hello() {
    const { specs, held, lastSeenRevision } = this.#holdings;
    return encodeHello(this.#identity, specs, held, lastSeenRevision);
  }

  #receive(message: ConnectResponse): void {
    const incoming = decodeIncoming(message);
    switch (incoming.kind) {
      case 'welcome':
        this.#refused = false;
        this.#modes = incoming.modes;
        this.#link.welcomed(incoming.heartbeatIntervalMs);
        this.#holdings.welcome(incoming.epoch);
        this.#say({ state: 'connected', epoch: incoming.epoch });
        return;
      case 'command':
        this.#holdings.obey(incoming.command, incoming.nonce);
        return;
      case 'renewal':
        this.#holdings.renew(incoming.epoch, incoming.revision, incoming.leaseTtlMs);
        return;
      case 'revoke':
        this.#holdings.revoke(incoming.epoch, incoming.revision, incoming.knobs, incoming.reason);
        return;
      case 'report_full_state':
        this.#link.send(this.#hello());
        return;
      case 'unreadable':
        // Not obeyed and not answered: the agent takes it for lost, as it should.
        this.#unreadable++;
        return;
    }
  }

  /** Messages from the agent that could not be understood, and so were not obeyed. */
  get unreadableMessages(): number {
    return this.#unreadable;
  }

  #lost(reason: string, permanent: boolean): void {
    if (permanent && !this.#refused) process.emitWarning(`the agent refuses this process: ${reason}`, 'TunerWarning');
    this.#refused = permanent;
    this.#holdings.part();
    this.#say({ state: 'disconnected', reason });
  }

  #say(status: TunerStatus): void {
    const changed = status.state !== this.#status.state;
    this.#status = status;
    if (!changed) return;
    try {
      this.#options.onStatus?.(status);
    } catch {
      // The host's own code; it must not end the session, nor the host.
    }
  }
}

function isNumber(value: KnobValue): value is number {
  return typeof value === 'number';
}

function targets(address: string | undefined): readonly string[] {
  if (address) return [grpcTarget(parseAddress(address))];
  const uid = process.getuid?.();
  if (uid === undefined) return [DEFAULT_TCP_ADDRESS];
  return [`unix:${defaultSocketPath(process.env.XDG_RUNTIME_DIR, uid)}`, DEFAULT_TCP_ADDRESS];
}
