import { performance } from 'node:perf_hooks';
import type { Logger } from 'pino';
import type { Engine, View } from './core/engine.ts';
import type { Acceptance, Decision, DecisionKind, Effect, Input, SampleBatch, SampleSink } from './core/model.ts';
import type { TunerView } from './core/tune/view.ts';

/** What keeps decisions; see adapters/journal. */
export interface DecisionKeeper {
  commit(decisions: readonly Decision[], state: string | undefined): void;
}

export interface RuntimeOptions {
  readonly engine: Engine;
  readonly journal: DecisionKeeper;
  readonly clock: { nowMs(): number };
  readonly tickMs: number;
  /** Points that may wait for the engine; a delivery that does not fit is refused whole, and its sender told to come back. */
  readonly maxQueuedPoints: number;
  /** Commands, renewals, revocations, events and replies. */
  readonly perform: (effect: Effect) => void;
  readonly log: Logger;
  readonly onStep?: (durationMs: number) => void;
  /** Waiting for the next tick does not keep the process alive: for an engine that is a guest in it. */
  readonly isGuest?: boolean;
}

export interface RuntimeStats {
  readonly queuedPoints: number;
  readonly queuedInputs: number;
  readonly pointsAccepted: number;
  readonly pointsRefused: number;
  readonly pointsAfterStop: number;
  readonly decisions: Readonly<Record<string, number>>;
  readonly unsavedDecisions: number;
  /** Why the engine no longer runs. */
  readonly halted?: string;
}

/** Work gives way to the event loop after this long, so that a burst of points never holds up a command or its result. */
const TURN_MS = 0.25;
/** Points that are taken in one step: a few tenths of a millisecond, in an engine that has long done something else. */
const POINTS_A_STEP = 128;
/** Decisions that could not be written yet; beyond, the oldest are given up and counted in the log. */
const MAX_UNSAVED = 1_000;
/** Between two attempts to write the journal. */
const LONGEST_RETRY_MS = 30_000;
/** Decisions that only ever restore what was recorded. */
const RETREATS: ReadonlySet<DecisionKind> = new Set<DecisionKind>(['rolled_back', 'futile', 'restored']);
const JOURNAL_ACTOR = 'agent';
const JOURNAL_FREEZE = 'decisions cannot be written to the journal';

/**
 * Inbox → `engine.step` → effects, at our own pace.
 *
 * Receivers enqueue and return. Control inputs overtake points: a rollback must not wait behind a burst of telemetry.
 * Of each step the decisions are made durable first, in one transaction with the engine's state; only then is anything
 * sent, but for what takes a trial back: a process that suffers must not wait for a disk, and an agent that dies in between
 * takes the same trial back when it starts again. When they cannot be written, tuning freezes: what is open is restored, nothing new is tried, and telemetry goes on.
 * An assertion in the engine revokes every tuned value and stops it for good; leases do the rest.
 */
export class Runtime implements SampleSink {
  readonly #options: RuntimeOptions;
  readonly #control: Input[] = [];
  readonly #points: SampleBatch[] = [];
  /** Rows of the first batch that the engine has had. */
  #rowsDone = 0;
  #queuedPoints = 0;
  #accepted = 0;
  #refused = 0;
  #afterStop = 0;
  #decisions: Record<string, number> = {};
  #unsaved: Decision[] = [];
  #journalDown = false;
  #retryTicks = 1;
  #ticksToRetry = 1;
  #halted: string | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #tickDue = false;
  #turn: NodeJS.Immediate | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  start(): void {
    this.#state = 'running';
    this.#ticker = setInterval(() => {
      // Ticks do not pile up: two that are late are one.
      this.#tickDue = true;
      this.#schedule();
    }, this.#options.tickMs);
    if (this.#options.isGuest === true) this.#ticker.unref();
    this.#schedule();
  }

  /** Works off what was accepted, saves the state, and takes nothing more. */
  stop(): void {
    if (this.#state === 'stopped') return;
    clearInterval(this.#ticker);
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    this.#turn = undefined;
    while (this.#next()) {}
    this.#state = 'stopped';
    this.#save([]);
  }

  accept(batch: SampleBatch): Acceptance {
    if (this.#state === 'stopped') {
      this.#afterStop += batch.size;
      return { state: 'overloaded', retryAfterMs: 1_000 };
    }
    if (batch.size > 0 && this.#queuedPoints > 0 && this.#queuedPoints + batch.size > this.#options.maxQueuedPoints) {
      this.#refused += batch.size;
      return { state: 'overloaded', retryAfterMs: this.#options.tickMs };
    }
    this.#points.push(batch);
    this.#queuedPoints += batch.size;
    this.#accepted += batch.size;
    // Decoding them was a turn already: what has come in meanwhile is read before the engine takes its own.
    if (this.#turn === undefined && this.#state === 'running')
      this.#turn = setImmediate(() => {
        this.#turn = undefined;
        this.#schedule();
      });
    return { state: 'accepted', rejected: 0 };
  }

  room(): { readonly free: number; readonly capacity: number } {
    const { maxQueuedPoints: capacity } = this.#options;
    return { free: Math.max(0, capacity - this.#queuedPoints), capacity };
  }

  /** Results, sessions, overrides, operators: bounded by the number of sessions and their limits. */
  post(input: Input): void {
    if (this.#state === 'stopped') return;
    this.#control.push(input);
    this.#schedule();
  }

  components(): readonly string[] {
    return this.#options.engine.components();
  }

  view(component: string): View | undefined {
    return this.#options.engine.view(component);
  }

  tuning(component: string): TunerView | undefined {
    return this.#options.engine.tuning(component);
  }

  stats(): RuntimeStats {
    return {
      queuedPoints: this.#queuedPoints,
      queuedInputs: this.#control.length,
      pointsAccepted: this.#accepted,
      pointsRefused: this.#refused,
      pointsAfterStop: this.#afterStop,
      decisions: { ...this.#decisions },
      unsavedDecisions: this.#unsaved.length,
      ...(this.#halted !== undefined && { halted: this.#halted }),
    };
  }

  /** Writes the engine's state although nothing was decided: what it has learned since. */
  checkpoint(): void {
    this.#save([]);
  }

  #schedule(): void {
    if (this.#turn !== undefined || this.#state !== 'running') return;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      const startedMs = performance.now();
      while (this.#next()) {
        if (performance.now() - startedMs < TURN_MS) continue;
        this.#schedule();
        return;
      }
    });
  }

  /** One input; false when there is none. */
  #next(): boolean {
    const control = this.#control.shift();
    if (control !== undefined) {
      this.#step(control);
      return true;
    }
    const batch = this.#points[0];
    if (batch !== undefined) {
      const from = this.#rowsDone;
      const to = Math.min(batch.size, from + POINTS_A_STEP);
      this.#queuedPoints -= to - from;
      this.#rowsDone = to;
      if (to === batch.size) {
        this.#points.shift();
        this.#rowsDone = 0;
      }
      this.#step({ kind: 'samples', batch, rows: [from, to] });
      return true;
    }
    // After the points that came before it: a window is judged on all that was received.
    if (this.#tickDue) {
      this.#tickDue = false;
      this.#step({ kind: 'tick' });
      return true;
    }
    return false;
  }

  #step(input: Input): void {
    if (this.#halted !== undefined) return;
    const { engine, clock, onStep } = this.#options;
    const startedMs = performance.now();
    let effects: readonly Effect[];
    try {
      effects = engine.step(clock.nowMs(), input);
    } catch (error) {
      this.#halt(input, error);
      return;
    }
    onStep?.(performance.now() - startedMs);
    if (effects.length > 0) this.#carryOut(effects);
    if (this.#journalDown && input.kind === 'tick' && --this.#ticksToRetry <= 0) this.#retryJournal();
  }

  #carryOut(effects: readonly Effect[]): void {
    const decisions = effects.flatMap((effect) => (effect.kind === 'decision' ? [effect.decision] : []));
    for (const { kind } of decisions) this.#decisions[kind] = (this.#decisions[kind] ?? 0) + 1;
    const isRetreat = decisions.length > 0 && decisions.every(({ kind }) => RETREATS.has(kind));
    const first = isRetreat ? effects.filter(({ kind }) => kind === 'command' || kind === 'revoke') : [];
    for (const effect of first) this.#options.perform(effect);
    const isDurable = decisions.length === 0 || this.#save(decisions);
    for (const effect of effects) {
      if (first.includes(effect)) continue;
      if (effect.kind === 'decision') this.#tell(effect.decision, isDurable);
      // What is not written down must not be tried; going back to what is proven is always allowed.
      else if (!isDurable && effect.kind === 'command' && effect.command.rationale.trialId !== undefined) continue;
      else this.#options.perform(effect);
    }
    if (!isDurable && !this.#journalDown) this.#freezeForJournal();
  }

  /** What is not written down yet may still be lost, and is not told as if it were. */
  #tell({ id, kind, component, reason, trialId }: Decision, isDurable: boolean): void {
    const about = { decision: id, kind, component, trialId };
    if (isDurable) this.#options.log.info(about, reason);
    else this.#options.log.warn({ ...about, unsaved: true }, reason);
  }

  #save(decisions: readonly Decision[]): boolean {
    if (this.#halted !== undefined) return false;
    this.#unsaved.push(...decisions);
    try {
      this.#options.journal.commit(this.#unsaved, JSON.stringify(this.#options.engine.save()));
      this.#unsaved = [];
      return true;
    } catch (error) {
      const lost = this.#unsaved.length - MAX_UNSAVED;
      if (lost > 0) this.#unsaved.splice(0, lost);
      this.#options.log.error(
        { err: error, unsaved: this.#unsaved.length, lost: Math.max(0, lost) },
        'the journal cannot be written',
      );
      return false;
    }
  }

  #freezeForJournal(): void {
    this.#journalDown = true;
    this.#retryTicks = 1;
    this.#ticksToRetry = 1;
    // A freeze that an operator wanted stays theirs to lift.
    if (this.#options.engine.frozen !== undefined) return;
    const request = { requestId: 'journal-down', by: JOURNAL_ACTOR, action: 'freeze', reason: JOURNAL_FREEZE } as const;
    this.#step({ kind: 'operator', request });
  }

  /** Ever more patiently: a disk that is full stays so for a while, and each attempt is a line in the log. */
  #retryJournal(): void {
    if (!this.#save([])) {
      this.#retryTicks = Math.min(2 * this.#retryTicks, Math.ceil(LONGEST_RETRY_MS / this.#options.tickMs));
      this.#ticksToRetry = this.#retryTicks;
      return;
    }
    this.#journalDown = false;
    this.#options.log.info('the journal can be written again');
    if (this.#options.engine.frozen?.endsWith(JOURNAL_FREEZE) !== true) return;
    const request = { requestId: 'journal-up', by: JOURNAL_ACTOR, action: 'unfreeze' } as const;
    this.#step({ kind: 'operator', request });
  }

  /** A defect: what the engine believes can no longer be trusted. */
  #halt(input: Input, error: unknown): void {
    const { engine, log, perform } = this.#options;
    this.#halted = error instanceof Error ? error.message : String(error);
    log.fatal(
      { err: error, input: input.kind },
      'the engine has failed: every tuned value is revoked, tuning is off until a restart',
    );
    for (const component of engine.components()) {
      const knobs = engine.view(component)?.tuning?.knobs.map((knob) => knob.spec.id) ?? [];
      if (knobs.length === 0) continue;
      perform({
        kind: 'revoke',
        component,
        epoch: engine.epoch,
        // Above every revision given out under this epoch.
        revision: Number.MAX_SAFE_INTEGER,
        knobs,
        reason: `the engine has failed: ${this.#halted}`,
      });
    }
  }
}
