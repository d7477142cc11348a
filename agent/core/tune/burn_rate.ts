import type { Increment } from '../series/store.ts';
import type { EngineSettings } from '../settings.ts';
import type { SignalRole } from '../signals.ts';

/**
 * How fast the error budget of an SLO burns: bad requests / all requests, divided by the share that may be bad.
 *
 * At a burn rate of 1 the budget lasts exactly its period; 14.4 uses 2 % of a month's budget in one hour. A long window makes the
 * alarm certain, a short one of a twelfth makes it stop soon after the cause has gone (Google, "The Site Reliability Workbook", ch. 5):
 *   14.4 over 1 h and 5 min, or 6 over 6 h and 30 min.
 *
 * Counts per minute in a ring of six hours. A request is bad when it failed or took longer than the SLO's response time. Until an
 * hour is covered the rates are over what there is.
 */
const MINUTE_MS = 60_000;
const MINUTES = 360;
const ALARMS = [
  { rate: 14.4, longMin: 60, shortMin: 5 },
  { rate: 6, longMin: 360, shortMin: 30 },
] as const;

export class BurnRate {
  readonly #allowedRatio: number;
  readonly #goodBelowMs: number;
  readonly #bad = new Float64Array(MINUTES);
  readonly #all = new Float64Array(MINUTES);
  #minute = Number.NEGATIVE_INFINITY;

  constructor({ targetRatio, responseTimeMs }: NonNullable<EngineSettings['slo']>) {
    this.#allowedRatio = 1 - targetRatio;
    this.#goodBelowMs = responseTimeMs;
  }

  observe(role: SignalRole, increment: Increment): void {
    if (role.signal !== 'responseTime' || increment.kind !== 'histogram') return;
    // Without buckets (a summary) nothing says which were slow.
    if (increment.bounds.length === 0 && role.outcome !== 'error') return;
    const { count, endMs } = increment;
    this.add(endMs, count, role.outcome === 'error' ? count : slower(increment, this.#goodBelowMs / role.msPerUnit));
  }

  add(atMs: number, requests: number, badRequests: number): void {
    this.#advance(Math.floor(atMs / MINUTE_MS));
    const slot = this.#minute % MINUTES;
    this.#all[slot] += requests;
    this.#bad[slot] += badRequests;
  }

  /** The alarm that is firing, in words. */
  alarm(atMs: number): string | undefined {
    this.#advance(Math.floor(atMs / MINUTE_MS));
    for (const { rate, longMin, shortMin } of ALARMS) {
      const long = this.#over(longMin);
      if (long >= rate && this.#over(shortMin) >= rate) {
        return `the SLO's error budget burns ${long.toFixed(1)} times too fast (limit ${rate} over ${longMin} and ${shortMin} min)`;
      }
    }
    return undefined;
  }

  #over(minutes: number): number {
    let all = 0;
    let bad = 0;
    for (let back = 0; back < minutes; back++) {
      const slot = (((this.#minute - back) % MINUTES) + MINUTES) % MINUTES;
      all += this.#all[slot];
      bad += this.#bad[slot];
    }
    return all === 0 ? 0 : bad / all / this.#allowedRatio;
  }

  #advance(minute: number): void {
    if (minute <= this.#minute) return;
    const passed = Math.min(minute - this.#minute, MINUTES);
    for (let step = 0; step < passed; step++) {
      const slot = (minute - step) % MINUTES;
      this.#all[slot] = 0;
      this.#bad[slot] = 0;
    }
    this.#minute = minute;
  }
}

/** Requests of a histogram above a limit in its own unit; the bucket that contains the limit counts in proportion. */
function slower({ bounds, counts }: Increment & { kind: 'histogram' }, limit: number): number {
  let above = 0;
  for (let i = 0; i < counts.length; i++) {
    const low = i === 0 ? 0 : bounds[i - 1];
    const high = i < bounds.length ? bounds[i] : Number.POSITIVE_INFINITY;
    if (low >= limit) above += counts[i];
    else if (high > limit) above += Number.isFinite(high) ? (counts[i] * (high - limit)) / (high - low) : 0;
  }
  return above;
}
