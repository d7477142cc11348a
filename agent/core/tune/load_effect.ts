import { mean } from './proof.ts';

/**
 * What an e-fold load adds to the log objective, by ridge regression: with little variation of the load seen, nothing.
 *
 *   θ = Σ δx·δy / (Σ δx² + σ²),  δ from the mean of the windows, clipped to [0, 3]
 *
 * Units: log objective per log load; `noise` σ is a window's standard deviation. Fails where the load's effect is no straight line in the
 * logs, near the knee of a queue. Source: Hoerl and Kennard, "Ridge regression" (Technometrics 1970).
 * Example: two windows of y = 0 at x = 0, two of .2 at x = .3, noise .1 → θ = .6; the line through them has .67.
 */
const LEAST_WINDOWS = 4;
const MOST = 3;

export function loadEffectOf(windows: readonly { readonly x: number; readonly y: number }[], noise: number): number {
  if (windows.length < LEAST_WINDOWS) return 0;
  const [mx, my] = [mean(windows.map(({ x }) => x)), mean(windows.map(({ y }) => y))];
  let [xx, xy] = [0, 0];
  for (const { x, y } of windows) {
    xx += (x - mx) ** 2;
    xy += (x - mx) * (y - my);
  }
  return Math.max(0, Math.min(MOST, xy / (xx + noise ** 2)));
}
