import type { Series } from '../model.ts';
import { IntervalRing } from './interval_ring.ts';
import { ReportPeriod } from './report_period.ts';
import { kendallTau } from './trend.ts';

/** Something that stands at a level, in the unit of the signal. */
export interface Level {
  readonly current: number;
  /** Mean of the intervals' last values. */
  readonly average: number;
  /** Highest of the intervals' last values. */
  readonly peak: number;
  /** When `current` was measured. */
  readonly measuredAtMs: number;
}

interface Part {
  value: number;
  atMs: number;
  /** Time between the last two points: how often its sender speaks. */
  gapMs: number;
  readonly device: string;
}

/** Parts of one level: attribute sets, devices, instances. A sender with more is summed wrongly, and counted. */
const MAX_PARTS = 256;

/**
 * A level reported in parts. Each series is one part (CPU modes, GPUs, routes, processes of one component); the parts
 * add up, or, with `average: 'devices'`, add up per device and are averaged over devices: 16 CPUs each 50 % busy are
 * 50 %; with `max` the greatest stands for all. A part whose series has fallen silent for three of its own intervals no longer counts.
 */
export class LevelWindow {
  readonly #ring: IntervalRing<{ total: number; atMs: number }>;
  readonly #combine: 'sum' | 'device_mean' | 'max';
  readonly #parts = new Map<Series, Part>();
  readonly #period = new ReportPeriod();
  #droppedParts = 0;
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor(intervalMs: number, size: number, combine: 'sum' | 'device_mean' | 'max') {
    this.#ring = new IntervalRing(
      intervalMs,
      size,
      () => ({ total: 0, atMs: 0 }),
      () => {},
    );
    this.#combine = combine;
  }

  /** Points refused because their level has too many parts. */
  get droppedParts(): number {
    return this.#droppedParts;
  }

  /** Returns false when the point is older than the window. */
  set(series: Series, value: number, device: string, atMs: number, nowMs: number): boolean {
    const heardMs = Math.min(atMs, nowMs);
    const part = this.#parts.get(series);
    if (part !== undefined) {
      if (heardMs < part.atMs && part.atMs <= nowMs) return true;
      part.gapMs = Math.max(0, heardMs - part.atMs);
      this.#period.note(part.gapMs, nowMs);
      part.value = value;
      part.atMs = heardMs;
    } else {
      if (this.#parts.size >= MAX_PARTS) this.#sweep(nowMs);
      if (this.#parts.size >= MAX_PARTS) {
        this.#droppedParts += 1;
        return true;
      }
      this.#parts.set(series, { value, atMs: heardMs, gapMs: 0, device });
    }
    const slot = this.#ring.slot(this.#ring.numberAt(heardMs), nowMs);
    if (slot === undefined) return false;
    slot.total = this.#total(nowMs);
    slot.atMs = heardMs;
    return true;
  }

  metrics(nowMs: number): Level | undefined {
    const slots = this.#ring.window(nowMs);
    const latest = slots.at(-1);
    if (latest === undefined) return undefined;
    const totals = slots.map((slot) => slot.total);
    return {
      current: latest.total,
      average: totals.reduce((sum, total) => sum + total, 0) / totals.length,
      peak: Math.max(...totals),
      measuredAtMs: latest.atMs,
    };
  }

  /** Kendall's τ of the intervals' last values with time; absent below four intervals. */
  trend(nowMs: number): number | undefined {
    return kendallTau(this.#ring.window(nowMs).map((slot) => slot.total));
  }

  /** The latest value; undefined when there is none in the window. */
  current(nowMs: number): number | undefined {
    return this.#ring.newest(nowMs)?.total;
  }

  /** Mean of the last values of the intervals numbered `first` to `last`. */
  over(first: number, last: number): number | undefined {
    let sum = 0;
    let count = 0;
    for (const { total } of this.#ring.range(first, last)) {
      sum += total;
      count++;
    }
    return count === 0 ? undefined : sum / count;
  }

  /** 0 until one of the parts has reported twice. */
  get reportMs(): number {
    return this.#period.ms;
  }

  clear(): void {
    this.#ring.clear();
    this.#parts.clear();
  }

  #total(nowMs: number): number {
    let total = 0;
    const devices = new Set<string>();
    for (const part of this.#parts.values()) {
      if (this.#isSilent(part, nowMs)) continue;
      total = this.#combine === 'max' ? Math.max(total, part.value) : total + part.value;
      devices.add(part.device);
    }
    return this.#combine === 'device_mean' ? total / Math.max(1, devices.size) : total;
  }

  #isSilent(part: Part, nowMs: number): boolean {
    // With one point seen its interval is unknown: exporters send every 60 s by default.
    const gapMs = part.gapMs > 0 ? Math.max(part.gapMs, this.#ring.intervalMs) : 60_000;
    return nowMs - part.atMs > 3 * gapMs;
  }

  /** Once an interval: a sender with too many parts must not cost a look at all of them with each of its points. */
  #sweep(nowMs: number): void {
    const sinceMs = nowMs - this.#sweptMs;
    if (sinceMs >= 0 && sinceMs < this.#ring.intervalMs) return;
    this.#sweptMs = nowMs;
    for (const [series, part] of this.#parts) if (this.#isSilent(part, nowMs)) this.#parts.delete(series);
  }
}
