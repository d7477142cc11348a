/**
 * Intuition: most load follows the clock. What the same hour of the day last brought says what is usual now, so that
 * the night's quiet is no anomaly and traffic at night is. Read once as a staircase of hours, and once as a line
 * between the middles of hours, which does not jump when the hour strikes.
 *
 * Formula: r₁ = x − p[h],  r₂ = x − (p[h₁]·(1 − f) + p[h₂]·f),  p[h] ← p[h] + .1·(x − p[h]),  h the hour in UTC, h₁ and
 * h₂ the hours whose middles lie around now, f how far now is from the first to the second. Unit of x. Used only while
 * the profile explains over 10 % of the variance: 1 − E[(x − p[h])²] / E[(x − m)²] > .1, with m the overall mean and
 * all three exponentially weighted (α = .001); otherwise it says nothing.
 *
 * Fails: on the first day; on weekly patterns (a Monday surprises after a Sunday); across a change of time zone until
 * the next day.
 *
 * Source: seasonal means, P. R. Winters, Forecasting sales by exponentially weighted moving averages, 1960.
 *
 * Example: 100 requests/s at noon and 10 at night, seen for a day: 100 at night says 90.
 */
import type { View } from './view.ts';

const HOURS = 24;
const DAY_MS = 86_400_000;
const HOUR_ALPHA = 0.1;
const VARIANCE_ALPHA = 0.001;
const EXPLAINED_AT_LEAST = 0.1;
const LEAST_VALUES = 100;
// After the profile: number of values (to 1/VARIANCE_ALPHA), overall mean, unexplained and total variance, and which
// hours were seen, as a bit set.
const COUNT = HOURS;
const MEAN = HOURS + 1;
const UNEXPLAINED = HOURS + 2;
const TOTAL = HOURS + 3;
const SEEN = HOURS + 4;

export const timeOfDayView: View = {
  channels: [
    { name: 'hour of day', sides: 'both', role: 'lead', inValueUnit: true },
    { name: 'time of day', sides: 'both', role: 'support', inValueUnit: true },
  ],
  slots: HOURS + 5,
  measure(state, at, value, atMs, out, first) {
    out[first] = Number.NaN;
    out[first + 1] = Number.NaN;
    if (state[at + COUNT]! < LEAST_VALUES) return;
    if (state[at + UNEXPLAINED]! > (1 - EXPLAINED_AT_LEAST) * state[at + TOTAL]!) return;
    const seen = state[at + SEEN]!;
    const position = hourPosition(atMs);
    const hour = Math.floor(position);
    if ((seen & (1 << hour)) !== 0) out[first] = value - state[at + hour]!;
    const left = (Math.floor(position - 0.5) + HOURS) % HOURS;
    const right = (left + 1) % HOURS;
    const bothSeen = (1 << left) | (1 << right);
    if ((seen & bothSeen) !== bothSeen) return;
    const share = (position - 0.5 - left + HOURS) % HOURS;
    out[first + 1] = value - (state[at + left]! * (1 - share) + state[at + right]! * share);
  },
  learn(state, at, value, atMs) {
    const hour = Math.floor(hourPosition(atMs));
    const bit = 1 << hour;
    const known = (state[at + SEEN]! & bit) !== 0;
    const count = Math.min(state[at + COUNT]! + 1, 1 / VARIANCE_ALPHA);
    state[at + COUNT] = count;
    if (known) {
      state[at + UNEXPLAINED]! += ((value - state[at + hour]!) ** 2 - state[at + UNEXPLAINED]!) / count;
      state[at + TOTAL]! += ((value - state[at + MEAN]!) ** 2 - state[at + TOTAL]!) / count;
      state[at + hour]! += HOUR_ALPHA * (value - state[at + hour]!);
    } else {
      state[at + hour] = value;
      state[at + SEEN] = state[at + SEEN]! | bit;
    }
    state[at + MEAN]! += (value - state[at + MEAN]!) / count;
  },
};

/** Hours since midnight UTC, in [0, 24). */
function hourPosition(atMs: number): number {
  const intoDayMs = atMs - Math.floor(atMs / DAY_MS) * DAY_MS;
  return (intoDayMs * HOURS) / DAY_MS;
}
