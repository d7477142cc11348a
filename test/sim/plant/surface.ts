import { knobsOf, type SurfacePlantSpec, type Term } from '../scenario.ts';
import type { Truth } from './plant.ts';

/** Maps knob positions, a load and the shifts of the phase to the truth. One implementation per kind of analytic plant. */
export interface Model {
  /**
   * Writes into `out`; `u` are positions in the order of the scenario's knobs, `natural` their numeric values, `latencyShift`
   * the log units by which everything is slower than usual.
   */
  evaluate(
    u: ArrayLike<number>,
    natural: ArrayLike<number>,
    loadFactor: number,
    shifts: ArrayLike<number>,
    latencyShift: number,
    out: Truth,
  ): void;
  /** Log standard deviation of single requests at the point last evaluated. */
  readonly spread: number;
}

type Compiled = (u: ArrayLike<number>, shifts: ArrayLike<number>) => number;

/**
 * The response surface as a sum of terms (see the schema for each term's formula). `isActive`: of the knobs that do something only
 * where another has certain values.
 */
export function createSurfaceModel(
  spec: SurfacePlantSpec,
  knobIds: readonly string[],
  levelsOf: (knob: string) => readonly string[],
  requestsPerSecond: number,
  isActive: ReadonlyMap<string, (u: ArrayLike<number>) => boolean> = new Map(),
): Model {
  const compileAll = (terms: readonly Term[]) =>
    terms.map((term) => onlyWhere(term, isActive, compile(term, knobIds, levelsOf)));
  const latency = compileAll(spec.latency.terms);
  const errors = compileAll(spec.errors.terms);
  const memory = compileAll(spec.memory?.terms ?? []);
  const { baseMs, spread, loadExponent } = spec.latency;
  const toP95 = Math.exp(1.6449 * spread - (spread * spread) / 2);
  const baseLogOdds = spec.errors.base > 0 ? Math.log(spec.errors.base / (1 - spec.errors.base)) : undefined;

  return {
    spread,
    evaluate(u, _natural, loadFactor, shifts, latencyShift, out) {
      let log = latencyShift;
      for (const term of latency) log += term(u, shifts);
      const mean = baseMs * Math.exp(log) * (loadExponent === 0 ? 1 : loadFactor ** loadExponent);
      out.latencyMsMean = mean;
      out.latencyMsP95 = mean * toP95;
      if (baseLogOdds === undefined) out.errorRatio = 0;
      else {
        let odds = baseLogOdds;
        for (const term of errors) odds += term(u, shifts);
        out.errorRatio = 1 / (1 + Math.exp(-odds));
      }
      out.requestsPerSecond = requestsPerSecond * loadFactor * (1 - out.errorRatio);
      out.memoryBytes = 0;
      if (spec.memory) {
        let bytes = 0;
        for (const term of memory) bytes += term(u, shifts);
        const { baseBytes, loadShare } = spec.memory;
        out.memoryBytes = baseBytes + bytes * (1 - loadShare + loadShare * loadFactor);
      }
    },
  };
}

function onlyWhere(
  term: Term,
  isActive: ReadonlyMap<string, (u: ArrayLike<number>) => boolean>,
  value: Compiled,
): Compiled {
  const conditions = knobsOf(term).flatMap((knob) => isActive.get(knob) ?? []);
  if (conditions.length === 0) return value;
  return (u, shifts) => (conditions.every((holds) => holds(u)) ? value(u, shifts) : 0);
}

function compile(term: Term, knobIds: readonly string[], levelsOf: (knob: string) => readonly string[]): Compiled {
  const indexOf = (knob: string) => knobIds.indexOf(knob);
  switch (term.kind) {
    case 'bowl': {
      const i = indexOf(term.knob);
      const { depth, optimum } = term;
      const reach = Math.max(optimum, 1 - optimum);
      return (u, shifts) => {
        const away = (u[i] - optimum - shifts[i]) / reach;
        return depth * away * away;
      };
    }
    case 'slope': {
      const i = indexOf(term.knob);
      return (u) => term.rise * u[i];
    }
    case 'coupling': {
      const i = indexOf(term.knobs[0]);
      const j = indexOf(term.knobs[1]);
      return (u) => term.weight * (u[i] - 0.5) * (u[j] - 0.5);
    }
    case 'well': {
      const center = Object.entries(term.at).map(([knob, at]) => ({ i: indexOf(knob), at }));
      const scale = 1 / (2 * term.width * term.width);
      return (u) => {
        let square = 0;
        for (const { i, at } of center) square += (u[i] - at) ** 2;
        return -term.depth * Math.exp(-square * scale);
      };
    }
    case 'cliff': {
      const i = indexOf(term.knob);
      return (u) => term.rise / (1 + Math.exp(-(u[i] - term.above) / term.width));
    }
    case 'levels': {
      const i = indexOf(term.knob);
      const levels = levelsOf(term.knob);
      const values = levels.map((level) => term.of[level] ?? 0);
      return (u) => values[Math.round(u[i] * (values.length - 1))] ?? 0;
    }
  }
}
