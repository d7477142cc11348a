import type { Effectiveness, Evidence, ProofRule, Setting } from '../model.ts';
import type { EngineSettings } from '../settings.ts';
import { changed, changesBetween, describe } from './changes.ts';
import type { ContextKey } from './context.ts';
import { Jump } from './jump.ts';
import type { ObjectiveWeights } from './objective.ts';
import type { ObjectiveValues } from './objectives.ts';
import type { Objectives } from './pareto.ts';
import { Probe, type ProbeRule } from './probe.ts';
import { expectedBlocks, median } from './proof.ts';
import { type ProofTerms, Proving } from './proving.ts';
import type { Purpose } from './purpose.ts';
import type { Random } from './random.ts';
import { between, distance } from './reach.ts';
import type { Reference } from './reference.ts';
import { Response, type ResponseWindow } from './response.ts';
import type { LearnedRule } from './rules.ts';
import type { Axis } from './space.ts';
import type { Plan } from './strategy.ts';

/**
 * One attempt at something better, from the first value sent to the verdict: what to measure next, and what it comes to.
 *
 *   plan jump      → walking to where was not looked yet (`jump.ts`) → the lowest place on the way ───────┐
 *   plan explore   → probing (windows around a moving centre) → the centre is the candidate ───────────┐
 *   plan candidate → walking there in steps of the tier, one window each ─────────────────────────────┴→ proving in blocks
 *
 * It records the incumbent's exact values when it opens; whatever happens, that is what is restored. It knows nothing of
 * sessions, commands or time: the tuner brings the process to `target`, measures a window there and hands the result in.
 */
export interface TrialOptions {
  readonly id: string;
  readonly strategy: string;
  readonly purpose: Purpose;
  /** What it was proposed as, where it was. */
  readonly proposalId?: string | undefined;
  /** The circumstances when it was planned. */
  readonly context: ContextKey;
  /** What else could have been done, and why it was not. */
  readonly alternatives: readonly string[];
  /** What was learned that led to it. */
  readonly rule?: LearnedRule | undefined;
  readonly plan: Exclude<Plan, { kind: 'shadow_rejected' }>;
  readonly startedMs: number;
  /** The whole setting in force: restored value by value, never computed. */
  readonly recorded: Setting;
  /** Where the plan leads, as far as the tier lets it go at once; absent when it must be found by probing. */
  readonly candidate?: Setting;
  /** The objective's signals; a window with others cannot be compared. */
  readonly objectiveSignals: string;
  /** The alarm of the SLO that was firing already, which is then no reason to stop. */
  readonly alarmAtStart: string | undefined;
  readonly axes: readonly Axis[];
  readonly probe: ProbeRule & {
    readonly pairs: number;
    readonly windowMs: number;
    /** Of a window at the incumbent. */
    readonly noise: number;
    /** The incumbent's latest windows. */
    readonly known: readonly ResponseWindow[];
    /** What is known of these knobs around the incumbent. */
    readonly response: (axes: readonly Axis[]) => Response;
  };
  readonly proof: Omit<ProofRule, 'alpha'>;
  /** What a jump is held against: the incumbent's level, and log units that it is better than the baselines. */
  readonly jump: { readonly won: number; readonly reference: Reference };
  /** Constraints come before the objective: what crosses them is not kept, however much better it is. */
  readonly limits: EngineSettings['limits'];
  /** The level that a proof is held to, asked when the proof begins. */
  readonly alpha: () => number;
  /** The terms of the proof, asked when it begins. */
  readonly openProof: () => ProofTerms;
  readonly random: Random;
}

export type Progress =
  /** Another window, at `target`. */
  | { readonly state: 'measure' }
  | { readonly state: 'proven' }
  | { readonly state: 'ended'; readonly as: 'futile' | 'rolled_back'; readonly why: string };

type Stage =
  | { readonly state: 'probing'; readonly at: Setting }
  | { readonly state: 'jumping'; readonly jump: Jump }
  | { readonly state: 'walking'; readonly step: number; readonly steps: number }
  | {
      readonly state: 'proving';
      readonly proving: Proving;
    };

/** Windows a search takes at least, in terms of `pairs`, and looks back to see whether it still gains. */
const LEAST_WINDOWS_PER_PAIR = 2;
const LOOK_BACK_PER_PAIR = 1;
/** A search that keeps gaining ends after so many windows at the latest, so that what it has found gets proven. */
const MOST_WINDOWS_PER_PAIR = 8;
/** A proof that would take more than this share of its blocks is not begun while probing may go on. */
const PROVABLE_SHARE = 0.5;
/** Away from the incumbent in a value that does not move, then one window at home: nothing unproven stands still for longer. */
const WINDOWS_ELSEWHERE = 4;
const MEASURE: Progress = { state: 'measure' };

export class Trial {
  readonly id: string;
  readonly strategy: string;
  readonly purpose: Purpose;
  readonly proposalId: string | undefined;
  readonly context: ContextKey;
  readonly rule: LearnedRule | undefined;
  readonly reason: string;
  readonly startedMs: number;
  readonly recorded: Setting;
  readonly objectiveSignals: string;
  readonly alarmAtStart: string | undefined;
  readonly #options: TrialOptions;
  /** Around what it looks: the incumbent, or that with the values that the plan says. */
  readonly #ground: Setting;
  readonly #response: Response | undefined;
  readonly #probe: Probe | undefined;
  readonly #jump: Jump | undefined;
  /** Where it looks elsewhere: windows at the incumbent. */
  readonly #home: ResponseWindow[] = [];
  #stage: Stage;
  #candidate: Setting | undefined;
  #proving: Proving | undefined;
  /** Predicted gain after each window of probing. */
  readonly #gains: number[] = [];
  readonly #charges: number[] = [];
  #harmSpent = 0;
  thinWindows = 0;

  constructor(options: TrialOptions) {
    this.#options = options;
    this.id = options.id;
    this.strategy = options.strategy;
    this.purpose = options.purpose;
    this.proposalId = options.proposalId;
    this.context = options.context;
    this.rule = options.rule;
    this.reason = options.plan.reason;
    this.startedMs = options.startedMs;
    this.recorded = options.recorded;
    this.objectiveSignals = options.objectiveSignals;
    this.alarmAtStart = options.alarmAtStart;
    this.#candidate = options.candidate;
    this.#ground = { ...options.recorded, ...(options.plan.kind === 'explore' && options.plan.at) };
    if (options.plan.kind === 'explore') {
      const { axes, at = {} } = options.plan;
      const { isBanned, known } = options.probe;
      const rule = {
        ...options.probe,
        isBanned: (setting: Setting) => isBanned?.({ ...at, ...setting }) === true,
      };
      if (this.#isElsewhere) this.#home.push(...known);
      this.#response = this.#isElsewhere ? this.#responseElsewhere(axes) : options.probe.response(axes);
      this.#probe = new Probe(this.#response, this.#ground, rule);
      this.#stage = { state: 'probing', at: this.#probe.next(options.random) };
      return;
    }
    if (options.plan.kind === 'jump') {
      const { maxStepRatio, noise, isBanned } = options.probe;
      this.#jump = new Jump(options.plan.axes, options.recorded, options.plan.to, {
        ...{ maxStepRatio, room: options.plan.room, noise, standardError: options.jump.reference.standardError },
        minimumEffect: options.proof.minimumEffect,
        isBanned: (setting) => isBanned?.(setting) === true,
      });
      this.#stage = { state: 'jumping', jump: this.#jump };
      return;
    }
    const apart = distance(options.axes, options.recorded, this.candidate);
    const steps = Math.ceil(apart / options.probe.maxStepRatio);
    this.#stage = steps > 1 ? { state: 'walking', step: 1, steps } : this.#toProving(options.startedMs);
  }

  /** Where it leads, as far as it is known. */
  get candidate(): Setting {
    return this.#candidate ?? this.#ground;
  }

  /** The candidate's values that are others than the incumbent's. */
  get proposed(): Setting {
    return changed(this.recorded, this.candidate);
  }

  /** It looks around another setting than the incumbent, of which a surface of the incumbent's knobs says nothing. */
  get #isElsewhere(): boolean {
    const { plan } = this.#options;
    return plan.kind === 'explore' && plan.at !== undefined;
  }

  /** The candidate is looked for, not given. */
  get isSearch(): boolean {
    const { plan } = this.#options;
    return this.#probe !== undefined || this.isJump || (plan.kind === 'candidate' && plan.isDrawn === true);
  }

  /** It walks far away from the incumbent, over what is worse. */
  get isJump(): boolean {
    return this.#options.plan.kind === 'jump';
  }

  /** Where a jump was to lead; undefined for all other trials. */
  get destination(): Setting | undefined {
    const { plan } = this.#options;
    return plan.kind === 'jump' ? { ...this.recorded, ...plan.to } : undefined;
  }

  /** Log units that it may be worse than the incumbent without being worse than the baselines. */
  get room(): number {
    return this.#jump === undefined || this.isProving ? 0 : this.#options.jump.won;
  }

  get hasCandidate(): boolean {
    return this.#candidate !== undefined;
  }

  /** The setting of the next window. */
  get target(): Setting {
    const stage = this.#stage;
    if (stage.state === 'probing') return { ...this.#ground, ...stage.at };
    if (stage.state === 'jumping') return stage.jump.target;
    if (stage.state === 'walking') {
      return between(this.#options.axes, this.recorded, this.candidate, stage.step / stage.steps);
    }
    return stage.proving.isCandidatesTurn ? this.candidate : this.recorded;
  }

  /** The setting to blame when it hurts: what is being measured, or the candidate while the incumbent has its turn. */
  get hurts(): Setting {
    return this.isTrying ? this.target : this.candidate;
  }

  /** Whether the next window is at another setting than the incumbent's. */
  get isTrying(): boolean {
    return changesBetween(this.recorded, this.target).length > 0;
  }

  /** A proof has begun: its level is spent, however it ends. */
  get isProving(): boolean {
    return this.#proving !== undefined;
  }

  /** Standard deviation of a window, as the probes show it. */
  get noise(): number | undefined {
    return this.#response?.noise;
  }

  /** A window at `target`, whatever becomes of it; around the incumbent the response has learned from it already. */
  learn(window: ResponseWindow): void {
    if (this.#stage.state === 'jumping') {
      this.#stage.jump.observe(window.y - this.#options.jump.reference.expectedAt(window.x));
    }
    if (!this.#isElsewhere) return;
    if (this.isTrying) this.#response?.observe(this.target, this.objectiveSignals, window);
    else this.#home.push(window);
  }

  /** How much worse `target` is than the incumbent, where a surface tells; a single window is mostly noise. */
  get excess(): number | undefined {
    return this.#isElsewhere ? undefined : this.#probe?.excessOf(this.target);
  }

  get blocks(): number {
    return this.#proving?.blocks.length ?? 0;
  }

  /** A window at `target` has shown the log objective `y`. */
  onWindow(y: number, nowMs: number, objectives: ObjectiveValues = {}): Progress {
    const stage = this.#stage;
    switch (stage.state) {
      case 'probing':
        return this.#onProbe(nowMs);
      case 'jumping':
        return this.#onJump(stage.jump, nowMs);
      case 'walking':
        this.#stage = stage.step < stage.steps ? { ...stage, step: stage.step + 1 } : this.#toProving(nowMs);
        return MEASURE;
      case 'proving':
        return this.#onProof(stage, y, nowMs, objectives);
    }
  }

  #onJump(jump: Jump, nowMs: number): Progress {
    const next = jump.next();
    if (next.state === 'in_vain') return { state: 'ended', as: 'futile', why: next.why };
    if (next.state === 'found') {
      this.#candidate = next.setting;
      this.#stage = this.#toProving(nowMs);
    }
    return MEASURE;
  }

  #onProbe(nowMs: number): Progress {
    const { probe: rule, proof, random } = this.#options;
    if (this.#probe === undefined) throw new Error(`trial ${this.id} probes without a probe`);
    if (this.#isElsewhere && !this.isTrying) {
      this.#stage = { state: 'probing', at: this.#probe.next(random) };
      return MEASURE;
    }
    this.#probe.recenter();
    this.#gains.push(this.#probe.predictedGain);
    const isYoung = this.#gains.length < LEAST_WINDOWS_PER_PAIR * rule.pairs;
    if (isYoung || this.#goesOn(this.#probe)) {
      const isHomesick = this.#isElsewhere && this.#gains.length % WINDOWS_ELSEWHERE === 0;
      this.#stage = { state: 'probing', at: isHomesick ? this.recorded : this.#probe.next(random) };
      return MEASURE;
    }
    const candidate = { ...this.#ground, ...this.#probe.candidate() };
    const isWorthwhile = this.#predictedGain(this.#probe) <= Math.log(1 - proof.minimumEffect);
    if (!isWorthwhile || changesBetween(this.recorded, candidate).length === 0) {
      return {
        state: 'ended',
        as: 'futile',
        why: `${this.#gains.length} windows of probing show nothing worth going to`,
      };
    }
    this.#candidate = candidate;
    this.#stage = this.#toProving(nowMs);
    return MEASURE;
  }

  /** Log objective of where probing led against the incumbent; negative is better. */
  #predictedGain(probe: Probe): number {
    if (!this.#isElsewhere || this.#response === undefined) return probe.predictedGain;
    const load = median(this.#home.map(({ x }) => x));
    const there = this.#response.encode({ ...this.#ground, ...probe.candidate() });
    return this.#response.at(there, load) - median(this.#home.map(({ y }) => y));
  }

  /** Of the incumbent's surroundings nothing follows for another place: it is learned afresh. */
  #responseElsewhere(axes: readonly Axis[]): Response {
    const { noise, windowMs } = this.#options.probe;
    const response = new Response(axes, noise, windowMs);
    response.open(this.#ground, this.objectiveSignals, noise);
    return response;
  }

  /** A proof holds the pace up: a third of its windows are at the incumbent, and meanwhile nothing better is looked for. */
  #goesOn(probe: Probe): boolean {
    return !this.#isLong && (this.#isGaining || probe.isCurious || !this.#isProvable(probe));
  }

  /**
   * While the last few windows promise more than the smallest gain worth having, going on costs less than proving what has been
   * found so far.
   */
  get #isGaining(): boolean {
    const { probe, proof } = this.#options;
    const lookBack = LOOK_BACK_PER_PAIR * probe.pairs;
    const gained = (this.#gains.at(-1) ?? 0) - (this.#gains.at(-1 - lookBack) ?? 0);
    return gained <= Math.log(1 - proof.minimumEffect);
  }

  /**
   * What is promised can be proven in reasonable time. Where windows are noisy a small gain cannot, and probing on is the better use
   * of them: the gain grows, and a proof of twice the gain takes a quarter of the blocks.
   */
  #isProvable(probe: Probe): boolean {
    const { proof, alpha } = this.#options;
    const promised = probe.predictedGain - Math.log(1 - proof.minimumEffect);
    return promised >= 0 || expectedBlocks(promised, this.noise ?? 0, alpha()) <= PROVABLE_SHARE * proof.maxBlocks;
  }

  get #isLong(): boolean {
    return this.#gains.length >= MOST_WINDOWS_PER_PAIR * this.#options.probe.pairs;
  }

  #toProving(nowMs: number): Stage {
    this.#proving ??= new Proving(this.#options.openProof(), nowMs);
    return { state: 'proving', proving: this.#proving };
  }

  #onProof({ proving }: Stage & { state: 'proving' }, y: number, nowMs: number, objectives: ObjectiveValues): Progress {
    switch (proving.onWindow(y, nowMs, objectives)) {
      case 'better':
        return proving.breaks(this.#options.limits)
          ? { state: 'ended', as: 'rolled_back', why: 'proven better, but it crosses a limit that the incumbent keeps' }
          : { state: 'proven' };
      case 'worse':
        return { state: 'ended', as: 'rolled_back', why: 'proven worse' };
      case 'futile':
        return { state: 'ended', as: 'futile', why: 'not proven to help' };
      case 'undecided':
        return MEASURE;
    }
  }

  /** What the blocks say of the candidate; absent while they exclude nothing yet. */
  get effect(): Effectiveness | undefined {
    return this.#proving?.effect;
  }

  /** The candidate's effect on each objective, where it was proven within the limits; absent otherwise. */
  objectivesWithin(limits: EngineSettings['limits']): Objectives | undefined {
    const proving = this.#proving;
    return proving === undefined || proving.blocks.length === 0 || proving.crosses(limits)
      ? undefined
      : proving.objectives;
  }

  /** ln of what betting on the candidate has won so far; absent before the first block. */
  get logStake(): number | undefined {
    return this.#proving?.logStake;
  }

  /** A window (or the part of one, by its share) was worse than the incumbent by so many log units. */
  charge(worseBy: number): void {
    this.#charges.push(worseBy);
    this.#harmSpent += worseBy;
  }

  get harmSpent(): number {
    return this.#harmSpent;
  }

  evidence(weights: ObjectiveWeights, reference: Reference): Evidence {
    const { effect } = this;
    return {
      objective: { ...weights },
      blocks: this.#proving?.blocks ?? [],
      recorded: this.recorded,
      ...(effect !== undefined && { effect }),
      harmSpent: this.harmSpent,
      charges: [...this.#charges],
      ...(this.#proving !== undefined && { proof: this.#proving.record() }),
      signals: {
        ...this.#options.plan.signals,
        ...reference.signals(),
        ...(this.#probe && { probeWindows: this.#gains.length, predictedGain: this.#probe.predictedGain }),
        ...(this.#jump && { jumpWindows: this.#jump.windows, lowestOnTheWay: this.#jump.lowest }),
      },
      alternatives: [
        ...(this.#probe === undefined ? [] : [`where probing led: ${describe(this.#probe.candidate())}`]),
        ...(this.destination === undefined ? [] : [`where the jump was to lead: ${describe(this.destination)}`]),
        ...this.#options.alternatives,
      ],
    };
  }
}
