import type { Block, Decision, Effectiveness, Evidence, KnobValue, Setting } from '../model.ts';
import type { ObjectiveWeights } from './objective.ts';
import type { Probe } from './probe.ts';
import { median, type Proof } from './proof.ts';
import type { Measurement } from './window.ts';

/**
 * One attempt at something better, from the first value sent to the verdict. It records the incumbent's exact values
 * when it opens; whatever happens, that is what is restored.
 */
export interface Trial {
  readonly id: string;
  readonly strategy: string;
  readonly reason: string;
  readonly startedMs: number;
  /** The whole setting in force before: restored value by value, never computed. */
  readonly recorded: Setting;
  readonly signals: Readonly<Record<string, number>>;
  /** The objective's signals at the start; a window with others cannot be compared. */
  readonly objectiveSignals: string;
  /** The alarm of the SLO that was firing already, which is then no reason to stop. */
  readonly alarmAtStart: string | undefined;
  readonly probe?: Probe;
  candidate?: Setting;
  blocks: Block[];
  proof?: Proof;
  /** The level that the proof is held to; set when the proof begins. */
  alpha?: number;
  pairs: number;
  thinWindows: number;
  harmSpent: number;
}

/** Measurements of the incumbent, the yardstick of everything tried: the last few windows only, since load moves. */
export class Reference {
  readonly #capacity: number;
  #windows: { readonly y: number; readonly measurement: Measurement }[] = [];

  constructor(capacity = 8) {
    this.#capacity = capacity;
  }

  push(y: number, measurement: Measurement): void {
    this.#windows.push({ y, measurement });
    if (this.#windows.length > this.#capacity) this.#windows.shift();
  }

  clear(): void {
    this.#windows = [];
  }

  get size(): number {
    return this.#windows.length;
  }

  /** Median log objective. */
  get y(): number {
    return median(this.#windows.map((window) => window.y));
  }

  /** Standard deviation of one window's log objective, robust (1.4826 MAD). */
  get noise(): number {
    const center = this.y;
    return 1.4826 * median(this.#windows.map((window) => Math.abs(window.y - center)));
  }

  get errorRatio(): number {
    return median(this.#windows.map(({ measurement }) => measurement.errorRatio ?? 0));
  }

  get latencyMsP95(): number | undefined {
    const known = this.#windows.flatMap(({ measurement: { latencyMsP95 } }) => latencyMsP95 ?? []);
    return known.length === 0 ? undefined : median(known);
  }

  signals(): Readonly<Record<string, number>> {
    const last = this.#windows.at(-1)?.measurement;
    if (last === undefined) return {};
    const { latencyMsMean, latencyMsP95, requestsPerSecond, errorRatio } = last;
    return {
      ...(latencyMsMean !== undefined && { incumbentLatencyMsMean: latencyMsMean }),
      ...(latencyMsP95 !== undefined && { incumbentLatencyMsP95: latencyMsP95 }),
      ...(requestsPerSecond !== undefined && { requestsPerSecond }),
      ...(errorRatio !== undefined && { incumbentErrorRatio: errorRatio }),
    };
  }
}

export function changesBetween(from: Setting, to: Setting): Decision['changes'] {
  return Object.entries(to).flatMap(([knob, value]) => {
    const before = from[knob];
    return before === undefined || before === value ? [] : [{ knob, from: before, to: value }];
  });
}

export function effectOf(trial: Trial): Effectiveness | undefined {
  const { proof, alpha, blocks } = trial;
  // With few blocks nothing can be excluded yet: an interval without ends says nothing.
  if (proof === undefined || alpha === undefined || !Number.isFinite(proof.low + proof.high)) return undefined;
  return {
    estimate: Math.expm1(proof.estimate),
    low: Math.expm1(proof.low),
    high: Math.expm1(proof.high),
    confidence: 1 - 2 * alpha,
    blocks: blocks.length,
  };
}

export function evidenceOf(trial: Trial, weights: ObjectiveWeights, reference: Reference): Evidence {
  const effect = effectOf(trial);
  return {
    objective: { ...weights },
    blocks: [...trial.blocks],
    recorded: trial.recorded,
    ...(effect !== undefined && { effect }),
    harmSpent: trial.harmSpent,
    signals: { ...trial.signals, ...reference.signals(), probePairs: trial.pairs },
    alternatives: trial.probe === undefined ? [] : [describe(trial.probe.candidate())],
  };
}

export function describe(setting: Setting): string {
  return Object.entries(setting)
    .map(([knob, value]) => `${knob} ${show(value)}`)
    .join(', ');
}

export function describeChanges(changes: Decision['changes']): string {
  return changes.map(({ knob, from, to }) => `${knob} ${show(from)} → ${show(to)}`).join(', ');
}

export function describeEffect(effect: Effectiveness): string {
  const range = `${signed(effect.low)} to ${signed(effect.high)}`;
  return `objective ${signed(effect.estimate)} (${range} at ${(effect.confidence * 100).toFixed(1)} % confidence, ${effect.blocks} blocks)`;
}

function signed(ratio: number): string {
  return `${ratio < 0 ? '−' : '+'}${Math.abs(ratio * 100).toFixed(1)} %`;
}

function show(value: KnobValue): string {
  return typeof value === 'number' && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : String(value);
}
