import type { ActuatorState } from '../actuator.ts';
import type { Setting } from '../model.ts';
import type { Increment } from '../series/store.ts';
import type { EngineSettings } from '../settings.ts';
import type { ResourceRole, ResourceScope, SignalRole } from '../signals.ts';
import { BurnRate } from './burn_rate.ts';
import type { Suspicion } from './checkpoint.ts';
import { Guard } from './guard.ts';
import { LoadShift } from './load_shift.ts';
import { Looked } from './looked.ts';
import { Meter } from './meter.ts';
import { objectiveOf } from './objective.ts';
import { mean } from './proof.ts';
import { logLoad, Reference } from './reference.ts';
import { type Foreseen, MOST_NOISE, Response, responseWindow } from './response.ts';
import { TransientRecorder } from './settling.ts';
import type { Axis } from './space.ts';
import type { Terms } from './terms.ts';
import type { Trial } from './trial.ts';
import { BadWindows, errorTrigger, reliefTrigger, type Trouble } from './triggers.ts';
import { Wallet } from './wallet.ts';
import type { Measurement } from './window.ts';

/** Of the incumbent, before anything is compared with it. */
const REFERENCE_WINDOWS = 3;
/** A spike of the load is over sooner. */
const CROSSED_WINDOWS = 3;

/** One window, read. */
export type WindowReading =
  | { readonly state: 'measured'; readonly y: number; readonly signals: string; readonly measurement: Measurement }
  /** Nothing to compare with: too few requests, or other signals than the trial began with. */
  | { readonly state: 'unusable' }
  | { readonly state: 'silent' };

/**
 * How a component does, window by window: takes windows, keeps the incumbent's as the yardstick, says at once when a setting
 * under trial hurts, and charges to the harm wallet what it was worse.
 */
export class Measuring {
  readonly reference = new Reference();
  readonly guard: Guard;
  readonly looked: Looked;
  /** Whose memory is watched: the container's, whose limit kills, once it is known. */
  #memoryScope: ResourceScope | undefined;
  readonly #settings: EngineSettings;
  readonly #terms: Terms;
  readonly #meter: Meter;
  readonly #burn: BurnRate | undefined;
  readonly #transient = new TransientRecorder();
  #badWindows = new BadWindows();
  /** Of the knobs last searched. Lost with the agent, which costs a few windows. */
  #response: Response | undefined;
  readonly #loadShift = new LoadShift();
  /** On the way back: by how much each window at the baselines was better than what is held. */
  #reliefs: number[] = [];
  #wallet: Wallet | undefined;

  constructor(settings: EngineSettings, terms: Terms) {
    this.#settings = settings;
    this.#terms = terms;
    this.guard = new Guard(terms.limits);
    this.looked = new Looked(settings.window.minMs);
    this.#meter = new Meter(settings.window);
    this.#burn = settings.slo === undefined ? undefined : new BurnRate(settings.slo);
  }

  /** Only when a session opens is the tier known, and with it the size of the wallet. */
  open(nowMs: number, savedBalance: number | undefined): void {
    const balance = this.#wallet?.balance ?? savedBalance;
    this.#wallet = new Wallet(this.#terms.harmRatio, this.#settings.window.minMs, nowMs, balance);
    this.reference.clear();
    this.guard.open(this.#terms.axes);
  }

  get wallet(): Wallet | undefined {
    return this.#wallet;
  }

  /** Whether the wallet lets a trial go on. */
  canPay(trial: Trial): boolean {
    return trial.purpose.isReturn || this.#wallet?.mayGoOn !== false;
  }

  /** The alarm of the SLO that is firing, in words. */
  alarm(nowMs: number): string | undefined {
    return this.#burn?.alarm(nowMs);
  }

  observe(role: SignalRole, increment: Increment): void {
    this.#meter.observe(role, increment);
    this.#burn?.observe(role, increment);
    if (role.signal !== 'responseTime' || role.outcome === 'error' || increment.kind !== 'histogram') return;
    const { count, sum, endMs } = increment;
    if (count > 0 && sum !== undefined) {
      this.#transient.observe({ atMs: endMs, latencyMs: (sum / count) * role.msPerUnit });
    }
  }

  /** Memory in use, or its limit. Readings count at a setting that is in force, as a whole. */
  observeMemory(role: ResourceRole, increment: Increment, actuator: ActuatorState, setting: Setting): void {
    if (increment.kind !== 'gauge' || role.scope === 'host') return;
    const bytes = increment.value * role.scale;
    if (role.measure === 'limit' && bytes > 0) this.guard.limitBytes = bytes;
    if (role.measure !== 'usage') return;
    if (this.#memoryScope === 'container' && role.scope !== 'container') return;
    this.#memoryScope = role.scope;
    if (actuator.state === 'settled' && increment.endMs >= actuator.sinceMs) this.guard.observe(bytes, setting);
  }

  /** A better source of the response time has replaced the one that the window was collecting. */
  restart(nowMs: number): void {
    this.#meter.restart(nowMs);
  }

  /** The next window is at `target`; `changed`: knobs whose values are being sent to get there. What the change before showed. */
  begin(target: Setting, changed: readonly string[], settleMs: number): ReturnType<TransientRecorder['changed']> {
    if (changed.length > 0) this.guard.moved();
    this.#meter.begin(target, changed.length > 0, settleMs);
    return changed.length > 0 ? this.#transient.changed(changed) : undefined;
  }

  /** Between experiments the incumbent is measured all the same: that is how its level, its noise and its load are known. */
  watch(incumbent: Setting, nowMs: number, actuator: ActuatorState): void {
    if (actuator.state !== 'settled') return this.#meter.cancel();
    if (!this.#meter.isMeasuring) return this.#meter.watch(incumbent, nowMs);
    const reading = this.read(incumbent, nowMs, actuator);
    if (reading?.state === 'measured') this.reference.push(reading.y, reading.signals, reading.measurement, incumbent);
  }

  /** The objective's signals, once enough of the incumbent was measured. What looks wrong needs no more windows to be looked into. */
  yardstick(incumbent: Setting, nowMs: number): string | undefined {
    const windows = this.suspicion === undefined ? REFERENCE_WINDOWS : 1;
    return this.reference.signalsIfFresh(incumbent, windows, nowMs);
  }

  /** Why what is held should be looked into: it is over a limit, or has all at once become suspect. */
  get suspicion(): Suspicion | undefined {
    const { risen, strange } = this.reference;
    const why = this.#crossed ?? risen ?? strange;
    if (why === undefined) return undefined;
    return { why, isNew: (risen ?? strange) !== undefined, isUrgent: risen !== undefined };
  }

  /** Why what is held should be looked into before a trial goes on. A proof is a comparison itself: it goes on under a strange load. */
  urgency(trial: Trial): Suspicion | undefined {
    const { suspicion } = this;
    if (suspicion?.isNew !== true || trial.purpose.isReturn) return undefined;
    return suspicion.isUrgent || !trial.isProving ? suspicion : undefined;
  }

  /** Which soft limit the incumbent is over, window after window. */
  get #crossed(): string | undefined {
    const last = this.reference.windows.slice(-CROSSED_WINDOWS).map(({ measurement }) => measurement);
    if (last.length < CROSSED_WINDOWS) return undefined;
    const { errorRatio, responseTimeMsP95 } = this.#terms.limits;
    if (last.every((window) => (window.errorRatio ?? 0) > errorRatio)) return 'its error ratio is above the limit';
    if (responseTimeMsP95 === undefined) return undefined;
    const isAbove = last.every(({ latencyMsP95 }) => (latencyMsP95 ?? 0) > responseTimeMsP95);
    return isAbove ? 'its p95 is above the limit' : undefined;
  }

  cancel(): void {
    this.#meter.cancel();
    this.#transient.drop();
  }

  /** What is known of how these knobs act around a setting; a search of others begins with the incumbent's latest windows. */
  responseOf(axes: readonly Axis[], setting: Setting, signals: string): Response {
    const { noise, windows } = this.reference;
    if (this.#response?.isOf(axes) !== true) this.#response = new Response(axes, noise, this.#settings.window.minMs);
    const response = this.#response;
    response.open(setting, signals, noise);
    for (const { y, measurement } of windows) {
      if (measurement.endMs > response.atMs) response.observe(setting, signals, responseWindow(y, measurement));
    }
    return response;
  }

  /** What earlier windows say of a change, where they say anything. */
  foresee(from: Setting, to: Setting): Foreseen | undefined {
    return this.#response?.foresee(from, to);
  }

  /** A trial is over; how far it was seen to an end: `isVerdict`. Where a jump was to lead was as good as looked at. */
  trialEnded(trial: Trial, isVerdict: boolean, nowMs: number): void {
    this.reference.experimentEnded();
    if (trial.purpose.isReturn && isVerdict) this.reference.acceptLevel();
    if (trial.destination !== undefined) this.looked.add(trial.destination, nowMs);
  }

  trialBegins(): void {
    this.#badWindows = new BadWindows();
    this.#reliefs = [];
  }

  /** The window under way, once it is over; what it says of the limits is learned. */
  read(incumbent: Setting, nowMs: number, actuator: ActuatorState, isFar = false): WindowReading | undefined {
    if (actuator.state === 'settled') this.#transient.applied(actuator.sinceMs);
    const reading = this.#meter.collect(nowMs, actuator);
    if (reading === undefined) return undefined;
    if (reading.state === 'silent') return { state: 'silent' };
    if (reading.state === 'thin') return { state: 'unusable' };
    const { measurement } = reading;
    this.guard.load(measurement.requestsPerSecond ?? 0);
    const objective = objectiveOf(measurement, this.#terms.weights);
    if (objective === undefined) return { state: 'unusable' };
    this.#followLoad(measurement);
    if (!isFar) this.#response?.observe(reading.setting, objective.signals, responseWindow(objective.y, measurement));
    this.guard.window(measurement, objective, reading.setting, incumbent, isFar);
    this.looked.add(reading.setting, measurement.endMs);
    return { state: 'measured', ...objective, measurement };
  }

  #followLoad(measurement: Measurement): void {
    const shift = this.#loadShift.observe(logLoad(measurement), measurement.endMs);
    if (shift === 0) return;
    const kept = Math.exp(-shift);
    this.#response?.doubt(kept);
    this.guard.doubt(kept);
  }

  /** The load has moved since: what hurts may be that. */
  hasShiftedSince(atMs: number): boolean {
    return this.#loadShift.noticedMs > atMs;
  }

  /** What cannot wait for the end of the window under way; what it cost so far is charged. */
  trouble(trial: Trial, nowMs: number): string | undefined {
    const counts = this.#meter.counts();
    const why =
      (counts && errorTrigger(counts, this.#terms.limits.errorRatio, this.reference.errorRatio)) ??
      (trial.alarmAtStart === undefined ? this.alarm(nowMs) : undefined) ??
      this.guard.alarm();
    if (why !== undefined) this.#cutShort(trial, this.#meter.partial());
    return why;
  }

  /** A whole window at the setting under trial: charged, and judged. Says why it is unbearable, if it is. */
  judge(trial: Trial, y: number, measurement: Measurement): Trouble | undefined {
    const expected = this.reference.expected(measurement);
    this.reference.load(measurement);
    if (trial.isProving) this.reference.note(y, trial.objectiveSignals, measurement, trial.target);
    // A search knows its surface better than one window does. Elsewhere, what may as well be an error of the yardstick is not
    // charged: over a long trial it would add up to more than the wallet holds.
    this.#charge(trial, trial.excess ?? y - expected - this.reference.standardError);
    const { limits } = this.#terms;
    const { latencyMsP95, errorRatio } = this.reference;
    const { noise: own } = this.reference;
    const noise = Math.max(own, Math.min(trial.noise ?? 0, MOST_NOISE * own));
    const errors = errorTrigger(measurement, limits.errorRatio, errorRatio);
    const allowed = { y: expected + trial.room, noise, windows: this.reference.size };
    const bad = this.#badWindows.observe(y, allowed, measurement, limits.responseTimeMsP95, latencyMsP95);
    if (bad !== undefined) this.reference.suspect();
    if (errors !== undefined) return { why: errors };
    // A jump has had its room already.
    return bad !== undefined && trial.isJump ? { why: bad.why } : bad;
  }

  /** Another window on the way back to the baselines: whether those so far are clearly better, or worse, than what is held. */
  relief(trial: Trial, y: number, measurement: Measurement): ReturnType<typeof reliefTrigger> {
    if (!trial.purpose.isReturn) return undefined;
    this.#reliefs.push(this.reference.expected(measurement) - y);
    return reliefTrigger(this.#reliefs, this.reference);
  }

  /** The baselines have turned out better than what was `won` log units better than they: what was learned holds no longer. */
  overturned(won: number): void {
    const kept = Math.exp(-Math.max(0, won + mean(this.#reliefs)));
    this.#response?.overturned(kept);
    this.guard.doubt(kept);
  }

  /** A window cut short costs what it was worse, by the share of it that had passed, and the guard learns from what was seen. */
  #cutShort(trial: Trial, partial: Measurement | undefined): void {
    const objective = partial === undefined ? undefined : objectiveOf(partial, this.#terms.weights);
    if (partial === undefined || objective === undefined) return;
    this.guard.window(partial, objective, trial.target, trial.recorded, trial.isJump);
    const share = Math.min(1, (partial.endMs - partial.startMs) / this.#settings.window.minMs);
    this.#charge(trial, (objective.y - this.reference.expected(partial)) * share);
  }

  #charge(trial: Trial, worseBy: number): void {
    trial.charge(worseBy);
    if (!trial.purpose.isReturn) this.#wallet?.spend(worseBy);
  }
}
