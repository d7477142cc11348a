import { type Axis, encode, valueAt } from './space.ts';

/**
 * What is expected of a knob's effect before anything was measured: from its declaration alone, so that it holds for any process.
 *
 * Intuition. Somebody has chosen the value that is in force without a tuner, and somebody has said between which values it may be.
 * So the best is likelier near the baseline than far from it, and it lies within the range: beside a baseline near one end there is
 * more room on the other side. And where a knob says how much may go on at once, a load that is carried now may no longer be carried
 * with half of it, and then the queue grows without end; more of it costs little by comparison. So one looks upwards first.
 *
 *   best = (baseline + ½) / 2            the mean of a normal of ± .35 around the baseline that is cut off at the range's ends, to .03
 *   shortage(u) = 1 − value(u) / baseline, at least 0            of `concurrency` and `threads`, 0 of all others
 *
 * Both are where `surface.ts` begins, with a deviation each; windows decide. Units: shares of the range; shares of the baseline.
 * Fails where the role is declared wrongly, by some windows.
 *
 * Source: a queue's wait grows as 1 / (1 − ρ) with ρ in proportion to 1 / servers (Kleinrock 1975).
 * Example: concurrency 2 of 1 to 16 (log): baseline .25, best .375, shortage .5 at 1 and 0 from 2 on.
 */
export interface Belief {
  /** Where the best is expected, 0 to 1. */
  readonly best: number;
  /** Of what the baseline provides, the share that is missing at `u`. */
  readonly shortage: (u: number) => number;
}

const MIDDLE = 0.5;

export function beliefOf(axis: Axis): Belief {
  const { role, type, baseline } = axis.spec;
  const provides = (role === 'concurrency' || role === 'threads') && type !== 'duration' && baseline > 0;
  return {
    best: (encode(axis, baseline) + MIDDLE) / 2,
    shortage: provides ? (u) => Math.max(0, 1 - valueAt(axis, u) / baseline) : () => 0,
  };
}
