import type { PerformanceProfile } from '../profile/performance_profile.ts';

/**
 * Who may experiment now, where several components share a machine.
 *
 * Intuition. A change of one component moves the response times of another that waits for the same CPU, GPU, memory or disk: two
 * experiments at once would each measure the other's. So of components that share a bottleneck, one at a time is measured and tried;
 * those that share none go on side by side.
 *
 * Two components share a bottleneck when both use the GPU (each above 5 % of it), or when something is short that both draw from: the
 * machine's CPU is at least 70 % busy, or one of them waits for CPU, memory or I/O for more than 5 % of the time (the kernel's PSI).
 * Where neither use nor pressure is known, nothing says that they do not, and they count as sharing.
 *
 * Turns go to who has waited longest. A trial has a bounded number of windows, and whoever waits keeps its place while it asks, so
 * everybody's turn comes. Fails to see what is shared outside the machine (a database, a network link).
 *
 * Sources: pressure stall information (the kernel's Documentation/accounting/psi.rst); first come, first served.
 */
export class Slots {
  /** Since when a component has been waiting, and when it last said so. */
  readonly #waiting = new Map<string, { readonly sinceMs: number; readonly askedMs: number }>();
  readonly #patienceMs: number;

  /** `patienceMs`: who has not asked for so long does not want its turn any more. */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** Why `component` has to wait; undefined: it may begin, and its place is given up. `others`: those that are being measured. */
  ask(
    component: string,
    others: readonly string[],
    shared: (a: string, b: string) => string | undefined,
    nowMs: number,
  ): string | undefined {
    const sinceMs = this.#waiting.get(component)?.sinceMs ?? nowMs;
    const why = this.#whyWait(component, sinceMs, others, shared, nowMs);
    if (why === undefined) this.#waiting.delete(component);
    else this.#waiting.set(component, { sinceMs, askedMs: nowMs });
    return why;
  }

  #whyWait(
    component: string,
    sinceMs: number,
    others: readonly string[],
    shared: (a: string, b: string) => string | undefined,
    nowMs: number,
  ): string | undefined {
    for (const other of others) {
      const what = other === component ? undefined : shared(component, other);
      if (what !== undefined) return `${other} is being measured and shares ${what}`;
    }
    for (const [other, place] of this.#waiting) {
      if (nowMs - place.askedMs > this.#patienceMs || nowMs < place.askedMs) {
        this.#waiting.delete(other);
        continue;
      }
      const what = other !== component && place.sinceMs < sinceMs ? shared(component, other) : undefined;
      if (what !== undefined) return `${other} has waited longer and shares ${what}`;
    }
    return undefined;
  }
}

const GPU_PERCENT = 5;
const BUSY_CPU_PERCENT = 70;
const PRESSURE_RATIO = 0.05;
const PRESSURES = [
  ['cpuPressure', 'the CPU'],
  ['memoryPressure', 'memory'],
  ['ioPressure', 'the disk'],
] as const;

/** What two components both wait for, in words; undefined where they share no bottleneck. */
export function sharedBottleneck(
  a: PerformanceProfile | undefined,
  b: PerformanceProfile | undefined,
  machine: PerformanceProfile | undefined,
): string | undefined {
  if (usesGpu(a) && usesGpu(b)) return 'the GPU';
  const cpu = machine?.resources.cpu;
  if (cpu !== undefined && cpu.average >= BUSY_CPU_PERCENT) return 'the CPU';
  let isKnown = cpu !== undefined;
  for (const [signal, name] of PRESSURES) {
    const levels = [a, b, machine].flatMap((profile) => profile?.stalls?.[signal] ?? []);
    if (levels.length > 0) isKnown = true;
    if (levels.some(({ average }) => average > PRESSURE_RATIO)) return name;
  }
  return isKnown ? undefined : 'a machine of which nothing says what it is short of';
}

function usesGpu(profile: PerformanceProfile | undefined): boolean {
  return (profile?.resources.gpu?.average ?? 0) > GPU_PERCENT;
}
