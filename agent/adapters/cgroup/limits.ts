import type { Grant } from '../../core/resources/allocation.ts';

/** Which files are written, and how near to what is used memory may be held. */
export interface LimitRules {
  readonly cpuWeight: boolean;
  readonly cpuMax: boolean;
  readonly memoryHigh: boolean;
  /** `memory.high` is never put below what is used and this share of it. */
  readonly memoryMargin: number;
}

export type LimitFile = 'cpu.weight' | 'cpu.max' | 'memory.high';

/** What a file should say. */
export interface WantedLimit {
  readonly component: string;
  readonly file: LimitFile;
  readonly value: string;
}

const PERIOD_US = 100_000;
/** The kernel's least quota. */
const LEAST_QUOTA_US = 1_000;
const BYTES_PER_MIB = 2 ** 20;
/** The kernel rounds down to pages, of 64 KiB at most: a multiple reads back as it was written. */
const PAGE_BYTES = 65_536;

/**
 * The allocation in the kernel's words.
 *
 *     cpu.weight  = 100 · granted / mean granted, within 1 and 10000       (100 is everybody's default)
 *     cpu.max     = granted · 100 ms of every 100 ms                       (several cores: more than the period)
 *     memory.high = granted, at least use · (1 + margin)                   [bytes]
 *
 * `cpu.weight` only decides between siblings, and only when the CPU is short. A component whose memory in use is unknown gets no
 * `memory.high`. `usedBytes`: what the cgroup itself says that it holds now.
 *
 * Example: 3 and 1 cores granted: weights of 150 and 50, `300000 100000` and `100000 100000`.
 */
export function limitsOf(
  grants: readonly Grant[],
  rules: LimitRules,
  usedBytes: (component: string) => number | undefined,
): readonly WantedLimit[] {
  const cpu = grants.filter(({ resource }) => resource === 'cpu');
  const mean = cpu.reduce((sum, { granted }) => sum + granted, 0) / Math.max(1, cpu.length);
  const wanted: WantedLimit[] = [];
  for (const { component, granted } of cpu) {
    const weight = mean > 0 ? Math.min(10_000, Math.max(1, Math.round((100 * granted) / mean))) : 100;
    if (rules.cpuWeight) wanted.push({ component, file: 'cpu.weight', value: String(weight) });
    const quotaUs = Math.max(LEAST_QUOTA_US, Math.round(granted * PERIOD_US));
    if (rules.cpuMax) wanted.push({ component, file: 'cpu.max', value: `${quotaUs} ${PERIOD_US}` });
  }
  for (const { component, resource, granted } of grants) {
    if (resource !== 'memory' || !rules.memoryHigh) continue;
    const used = usedBytes(component);
    if (used === undefined) continue;
    const bytes = Math.max(granted * BYTES_PER_MIB, used * (1 + rules.memoryMargin));
    wanted.push({ component, file: 'memory.high', value: String(Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES) });
  }
  return wanted;
}

/** A change too small to be worth a write: below a twentieth. */
export function isNear(file: LimitFile, one: string, other: string): boolean {
  if (one === other) return true;
  const [a, b] = [amountOf(one), amountOf(other)];
  if (!Number.isFinite(a) || !Number.isFinite(b)) return false;
  // Memory that is used up to its limit must get more at once, however little.
  if (file === 'memory.high' && a > b) return false;
  return Math.abs(a - b) < 0.05 * Math.max(Math.abs(a), Math.abs(b));
}

/** `200000 100000` is 2; `max` is not a number. */
function amountOf(text: string): number {
  const [amount, period = '1'] = text.split(' ');
  return Number(amount) / Number(period);
}
