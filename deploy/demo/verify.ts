/**
 * Default against tuned, interleaved: blocks of ABBA or BAAB by a coin, so that a drift of the load or of the machine hits both alike.
 * Latency is the users': from when a request was due, measured by the load generator, with the settle time left out.
 */
import type { Setting } from '../../agent/core/model.ts';
import type { Measurement } from './load.ts';
import { type Interval, type LatencySummary, logObjective, signedRankInterval, summarise } from './statistics.ts';

export interface Arm extends LatencySummary {
  readonly setting: Setting;
  readonly throughputPerSecond: number;
  readonly errors: number;
}

export interface Comparison {
  readonly baseline: Arm;
  readonly tuned: Arm;
  readonly blocks: number;
  /** Relative change of the objective from baseline to tuned; −0.3 is 30 % lower, and lower is better. */
  readonly objective: Interval;
}

export interface Trier {
  /** Brings the server to a setting and returns once the server itself says that it is in force: whether that changed anything. */
  put(setting: Setting): Promise<boolean>;
  /** What becomes of the requests that are due within a window from now on, or from when the server has settled. */
  measure(settleFirst: boolean): Promise<Measurement>;
  onBlock(block: number): void;
}

/** Ends at the tuned setting. `random` is uniform in [0, 1). */
export async function compare(
  baseline: Setting,
  tuned: Setting,
  blocks: number,
  trier: Trier,
  random: () => number,
): Promise<Comparison> {
  const arms = {
    A: { setting: baseline, windows: [] as Measurement[] },
    B: { setting: tuned, windows: [] as Measurement[] },
  };
  const differences: number[] = [];
  for (let block = 1; block <= blocks; block++) {
    const order = random() < 0.5 ? (['A', 'B', 'B', 'A'] as const) : (['B', 'A', 'A', 'B'] as const);
    const y = { A: 0, B: 0 };
    for (const name of order) {
      const window = await trier.measure(await trier.put(arms[name].setting));
      arms[name].windows.push(window);
      y[name] += logObjective(summarise(window.latenciesMs), window.errors) / 2;
    }
    differences.push(y.B - y.A);
    trier.onBlock(block);
  }
  await trier.put(tuned);
  const { estimate, low, high } = signedRankInterval(differences);
  return {
    baseline: armOf(arms.A.setting, arms.A.windows),
    tuned: armOf(arms.B.setting, arms.B.windows),
    blocks,
    objective: { estimate: Math.expm1(estimate), low: Math.expm1(low), high: Math.expm1(high) },
  };
}

function armOf(setting: Setting, windows: readonly Measurement[]): Arm {
  const all = new Float64Array(windows.reduce((sum, { latenciesMs }) => sum + latenciesMs.length, 0));
  let filled = 0;
  let seconds = 0;
  let errors = 0;
  for (const window of windows) {
    all.set(window.latenciesMs, filled);
    filled += window.latenciesMs.length;
    seconds += window.forMs / 1_000;
    errors += window.errors;
  }
  return { setting, ...summarise(all), throughputPerSecond: all.length / seconds, errors };
}
