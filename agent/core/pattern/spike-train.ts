import { known, timeAt, toGrid } from './grid.ts';
import { impactOf, type Pattern, type Recogniser } from './pattern.ts';
import { median, poissonTail, robustSpread } from './statistics.ts';

/** A spike stands out by this many robust standard deviations … */
const HEIGHT = 8;
/** … which values with tails as heavy as Student's t with 3 degrees of freedom do this often: P(|t₃| > 9.07). */
const BY_CHANCE = 0.0028;
/** A longer excursion is a regime. */
const LONGEST_STEPS = 3;

/**
 * Short spikes that come again and again: at least four excursions of at most three steps beyond 8 robust standard
 * deviations, more than heavy tails give (`p < .001` by a Poisson count). Says how regular they are: the coefficient of
 * variation of the gaps is 0 for a clock, 1 for chance. Confidence: `1 − p`. Blind where over half the values are equal
 * (no spread to measure by): then any other value counts, from a hundredth of the largest size on.
 */
export const spikeTrain: Recogniser = {
  type: 'spike_train',
  recognise(window): Pattern | undefined {
    const grid = toGrid(window);
    if (grid === undefined) return undefined;
    const values = known(grid.values);
    if (values.length < 30) return undefined;
    const centre = median(values);
    const largest = values.reduce((a, v) => Math.max(a, Math.abs(v - centre)), 0);
    const spread = Math.max(robustSpread(values), largest / 100 / HEIGHT);
    if (!(spread > 0)) return undefined;
    const spikes = excursions(grid.values, centre, HEIGHT * spread);
    const p = poissonTail(spikes.length, values.length * BY_CHANCE);
    if (spikes.length < 4 || p > 1e-3) return undefined;
    const gaps = spikes.slice(1).map((s, i) => s.start - spikes[i]!.start);
    const gap = gaps.reduce((a, g) => a + g, 0) / gaps.length;
    const scatter = Math.sqrt(gaps.reduce((a, g) => a + (g - gap) ** 2, 0) / gaps.length);
    const height = median(spikes.map((s) => s.peak));
    const share = spikes.reduce((a, s) => a + s.steps, 0) / values.length;
    return {
      type: 'spike_train',
      confidence: 1 - p,
      samples: values.length,
      // What the spikes add to the mean, not how high they are.
      ...impactOf(centre, centre + share * (height - centre)),
      sinceMs: timeAt(grid, spikes[0]!.start),
      evidence: {
        p,
        spikes: spikes.length,
        gapMs: gap * grid.stepMs,
        gapVariation: scatter / gap,
        height,
        usual: centre,
      },
    };
  },
};

interface Excursion {
  readonly start: number;
  readonly steps: number;
  readonly peak: number;
}

function excursions(values: Float64Array, centre: number, distance: number): readonly Excursion[] {
  const found: Excursion[] = [];
  for (let i = 0; i < values.length; i++) {
    if (!(Math.abs(values[i]! - centre) > distance)) continue;
    const start = i;
    let peak = values[i]!;
    while (i + 1 < values.length && Math.abs(values[i + 1]! - centre) > distance) {
      i++;
      if (Math.abs(values[i]! - centre) > Math.abs(peak - centre)) peak = values[i]!;
    }
    if (i + 1 - start <= LONGEST_STEPS) found.push({ start, steps: i + 1 - start, peak });
  }
  return found;
}
