import type { KnobSpec } from '../../../agent/core/model.ts';
import type { Random } from '../../sim/random.ts';
import type { Scenario } from '../../sim/scenario.ts';

/** What a method is told of one window at the positions that it asked for. */
export interface Observation {
  /** Log objective, lower is better, as the engine's settings define it. */
  readonly y: number;
  readonly latencyMsMean: number;
  readonly latencyMsP95: number;
  readonly errorRatio: number;
  readonly offeredPerSecond: number;
  /** Highest reading; 0 where the plant has no memory model. */
  readonly memoryBytes: number;
  /** The process died of its memory in this window. `y` is then the last one seen, ten times slower. */
  readonly killed: boolean;
}

export interface MethodContext {
  readonly knobs: readonly KnobSpec[];
  /** Positions in [0, 1] of the baseline. */
  readonly start: readonly number[];
  readonly limits: Scenario['limits'];
  readonly random: Random;
}

/** Ask, run a window, tell. Positions outside [0, 1] are clamped by whoever applies them. */
export interface Method {
  ask(): readonly number[];
  tell(observation: Observation): void;
  /** What it would stay at if it stopped exploring now. */
  incumbent(): readonly number[];
}

export type MethodFactory = (context: MethodContext) => Method;

export function clamp(value: number, low = 0, high = 1): number {
  return Math.min(high, Math.max(low, value));
}
