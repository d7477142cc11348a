import { hash32, normalAt, seedFor, uniformAt } from '../random.ts';
import type { NoiseSpec, PhaseSpec, Scenario } from '../scenario.ts';

/** What the world does to the process at one instant, whatever its knobs. */
export interface Weather {
  /** Offered load over the reference load. */
  loadFactor: number;
  /** Log units added to every latency: noise of the interval, noise spikes, slowdown and drift. */
  latencyShift: number;
  /** The same without noise: slowdown and drift, which the truth includes. */
  trueLatencyShift: number;
  /** Index of the phase, −1 before the first. */
  phase: number;
}

/**
 * Load and disturbances over time, as a function of (seed, instant) only. The two autocorrelated parts (wandering load,
 * wandering noise) are AR(1) on a fixed grid, `x ← φx + √(1 − φ²)·sd·z` with `φ = exp(−grid / correlation time)`, whose
 * draws are counter-based; asking again or asking for another knob setting changes nothing. Instants must not go back by
 * more than one grid step.
 */
export class WeatherModel {
  readonly #scenario: Scenario;
  readonly #runMs: number;
  readonly #gridMs: number;
  readonly #seed: number;
  readonly #loadPhi: number;
  readonly #loadSd: number;
  readonly #noisePhi: number;
  readonly #noiseSd: number;
  #index = -1;
  #load = 0;
  #noise = 0;
  readonly #now: Weather = { loadFactor: 1, latencyShift: 0, trueLatencyShift: 0, phase: -1 };

  constructor(scenario: Scenario, runMs: number, seed: number) {
    this.#scenario = scenario;
    this.#runMs = runMs;
    this.#gridMs = scenario.telemetry.intervalMs;
    this.#seed = seedFor(seed, 'weather');
    const fluctuation = scenario.load.fluctuation;
    this.#loadPhi = fluctuation ? Math.exp(-this.#gridMs / fluctuation.correlationMs) : 0;
    this.#loadSd = fluctuation?.sd ?? 0;
    this.#noisePhi = phiOf(scenario.noise, this.#gridMs);
    this.#noiseSd = scenario.noise.latencySd;
  }

  /** Valid until the next call. */
  at(timeMs: number): Weather {
    const { load, drift } = this.#scenario;
    const index = Math.floor(timeMs / this.#gridMs);
    while (this.#index < index) this.#advanceGrid();

    const now = this.#now;
    now.phase = phaseAt(this.#scenario.phases, timeMs / this.#runMs);
    const phase = now.phase < 0 ? undefined : this.#scenario.phases[now.phase];
    let factor = baseLoadFactor(this.#scenario, timeMs, this.#runMs) * Math.exp(this.#load);
    if (load.spikes && this.#inSpike(load.spikes, 11, timeMs)) factor *= load.spikes.factor;
    now.loadFactor = factor;

    let shift = Math.log(phase?.slowdown ?? 1);
    if (drift) shift += (drift.latencyPerDay * timeMs) / 86_400_000;
    now.trueLatencyShift = shift;
    shift += this.#noise;
    const spikes = this.#scenario.noise.spikes;
    if (spikes && this.#inSpike(spikes, 13, timeMs)) shift += Math.log(spikes.factor);
    now.latencyShift = shift;
    return now;
  }

  #advanceGrid(): void {
    this.#index++;
    const first = this.#index === 0;
    if (this.#loadSd > 0) {
      const z = this.#loadSd * normalAt(this.#seed, 1, this.#index);
      this.#load = first ? z : this.#loadPhi * this.#load + Math.sqrt(1 - this.#loadPhi ** 2) * z;
    }
    if (this.#noiseSd > 0) {
      const z = this.#noiseSd * normalAt(this.#seed, 2, this.#index);
      this.#noise = first ? z : this.#noisePhi * this.#noise + Math.sqrt(1 - this.#noisePhi ** 2) * z;
    }
  }

  /** Spikes begin at most once in a slot of twice their length, at a random place in it. */
  #inSpike(spec: { perHour: number; durationMs: number }, lane: number, timeMs: number): boolean {
    const slotMs = Math.max(2 * spec.durationMs, 1);
    const chance = Math.min(1, (spec.perHour * slotMs) / 3_600_000);
    const slot = Math.floor(timeMs / slotMs);
    if (uniformAt(this.#seed, lane, slot) >= chance) return false;
    const startMs = slot * slotMs + (hash32(this.#seed, lane + 1, slot) / 4_294_967_296) * (slotMs - spec.durationMs);
    return timeMs >= startMs && timeMs < startMs + spec.durationMs;
  }
}

/** Expected load over the reference load: phase, time of day, trace; without the random parts. */
export function baseLoadFactor(scenario: Scenario, timeMs: number, runMs: number): number {
  const { load, phases } = scenario;
  const phase = phaseAt(phases, timeMs / runMs);
  let factor = phase < 0 ? 1 : (phases[phase]?.loadFactor ?? 1);
  if (load.diurnal) {
    const { amplitude, periodMs, phase: offset } = load.diurnal;
    factor *= 1 + amplitude * Math.sin(2 * Math.PI * (timeMs / periodMs + offset));
  }
  if (load.trace) {
    const { binMs, factors } = load.trace;
    factor *= factors[Math.floor(timeMs / binMs) % factors.length] ?? 1;
  }
  return Math.max(factor, 1e-3);
}

/** Index of the phase in force at a share of the run, −1 before the first. */
export function phaseAt(phases: readonly PhaseSpec[], ratio: number): number {
  let found = -1;
  for (let i = 0; i < phases.length; i++) {
    if (ratio >= (phases[i]?.atRatio ?? 1)) found = i;
  }
  return found;
}

function phiOf(noise: NoiseSpec, gridMs: number): number {
  return noise.correlationMs > 0 ? Math.exp(-gridMs / noise.correlationMs) : 0;
}
