/**
 * Wilson's interval for a share of `n`: holds for small counts, where ± z·σ does not.
 *
 *   (p + z²/2n ± z √( p(1 − p)/n + z²/4n² )) / (1 + z²/n),   p = count / n;   [0, 1] where nothing was counted
 *
 * Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927). Example: 1 of 20 at z = 1.96: .009 to .24.
 */
export function wilson(count: number, n: number, deviations: number): readonly [low: number, high: number] {
  if (n <= 0) return [0, 1];
  const ratio = count / n;
  const z2 = deviations ** 2;
  const center = ratio + z2 / (2 * n);
  const half = deviations * Math.sqrt((ratio * (1 - ratio)) / n + z2 / (4 * n * n));
  const low = count <= 0 ? 0 : (center - half) / (1 + z2 / n);
  return [low, count >= n ? 1 : (center + half) / (1 + z2 / n)];
}
