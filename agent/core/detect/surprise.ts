import type { Detector, Interval, Score } from './detector.ts';
import { AGREEMENT_FROM, LEAD_AGREEMENT, SUPPORT_AGREEMENT } from './fusion.ts';
import { levelOf } from './level.ts';
import { MOST_SKETCHES, type StandingSet } from './standing-set.ts';
import {
  addToSketch,
  emptySketch,
  isSketchEmpty,
  rescaleSketch,
  SKETCH_KEEP,
  SKETCH_SLOTS,
  sketchSize,
  sketchSurprise,
} from './tail-sketch.ts';

/** Weights are rescaled when a new point's weight passes this: far below where single precision loses counts. */
const RESCALE_AT = 1e6;
/**
 * A sketch in which nothing of the last two spans was told apart (all lay in its lowest counter) is blind: what it learned
 * before, of an outage at the start or one enormous value, says nothing of the metric as it is now. It starts afresh. A
 * span has so many points, for evidence (two are more than a week of five-minute points: what comes back weekly is kept),
 * and lasts so long, because a night is quiet and many points: at a point every five seconds, two spans of points alone
 * are five hours, and three of four synthetic daily rhythms then cost 2.6 to 4 alerts a day instead of .3 to .5. Spans of 1300, 1500, 1800 and
 * 2000 points: KPI F1 .783, .786, .785, .777 (.756 without), NAB 74.9, 75.2, 75.3, 75.4 (75.4 without).
 */
const SPAN_POINTS = 1800;
const SPAN_MS = 30 * 3_600_000;
/** What a new point weighs at the end of a span. */
const SPAN_UNIT = SKETCH_KEEP ** -SPAN_POINTS;
/** Which sketches told a point apart is two sets of bits in one number: this span's below, the last one's above. */
const SPAN_BITS = MOST_SKETCHES;
/** An expected range holds all but one in a thousand values. */
const ORDINARY_DECADES = 3;
const NOTHING: Score = { surprise: 0, channel: '', channelSurprise: 0 };

/** Squares of larger values overflow; no metric has any. */
const VALUE_MAX = 1e100;

/** Whether a value can be judged: a finite number of a size that a measurement can have. */
export function isUsable(value: number): boolean {
  return Math.abs(value) <= VALUE_MAX;
}

/** What `SurpriseDetector.save` returns. */
export interface SurpriseState {
  readonly set: string;
  readonly views: readonly number[];
  readonly sketches: readonly number[];
}

/**
 * The standing detector: every channel of every view has its tail sketches, and their surprises are fused into one.
 * Learning goes on through anomalies: what lasts becomes usual.
 */
export class SurpriseDetector implements Detector {
  readonly #set: StandingSet;
  /** The views' slots, then per channel the weight of the points it has judged, then the weight of a new point, then the bits, then when the span began. */
  readonly #state: Float64Array;
  readonly #sketches: Float32Array;

  constructor(set: StandingSet) {
    this.#set = set;
    this.#state = new Float64Array(set.slots + set.channels.length + 3);
    this.#state[this.#unitAt] = 1;
    this.#sketches = new Float32Array(set.sketches * SKETCH_SLOTS);
    for (let i = 0; i < set.sketches; i++) emptySketch(this.#sketches, i * SKETCH_SLOTS);
  }

  /** All that a series costs beyond the object itself. */
  get stateBytes(): number {
    return this.#state.byteLength + this.#sketches.byteLength;
  }

  score(value: number, atMs: number): Score {
    if (!isUsable(value)) return NOTHING;
    const { channels } = this.#set;
    const residuals = this.#measure(value, atMs);
    const unit = this.#state[this.#unitAt]!;
    let lead = 0;
    let leader = -1;
    let leadSum = 0;
    let supportSum = 0;
    for (let c = 0; c < channels.length; c++) {
      const residual = residuals[c]!;
      if (Number.isNaN(residual)) continue;
      const channel = channels[c]!;
      const total = this.#state[this.#set.slots + c]!;
      const sketchAt = residual < 0 ? channel.belowAt : channel.aboveAt;
      const surprise = sketchSurprise(this.#sketches, sketchAt, Math.abs(residual), total, unit);
      const beyond = Math.max(0, surprise - AGREEMENT_FROM);
      if (channel.role === 'support') supportSum += beyond;
      else {
        leadSum += beyond;
        if (surprise > lead) {
          lead = surprise;
          leader = c;
        }
      }
    }
    if (leader < 0) return NOTHING;
    const others = leadSum - Math.max(0, lead - AGREEMENT_FROM);
    return {
      surprise: lead + LEAD_AGREEMENT * others + SUPPORT_AGREEMENT * supportSum,
      channel: channels[leader]!.name,
      channelSurprise: lead,
    };
  }

  learn(value: number, atMs: number): void {
    if (!isUsable(value)) return;
    const { channels, views, slots } = this.#set;
    const residuals = this.#measure(value, atMs);
    const unit = this.#state[this.#unitAt]!;
    let told = this.#state[this.#unitAt + 1]!;
    for (let c = 0; c < channels.length; c++) {
      const residual = residuals[c]!;
      if (Number.isNaN(residual)) continue;
      const channel = channels[c]!;
      const sketchAt = residual < 0 ? channel.belowAt : channel.aboveAt;
      if (addToSketch(this.#sketches, sketchAt, Math.abs(residual), unit)) told |= 1 << (sketchAt / SKETCH_SLOTS);
      this.#state[slots + c]! += unit;
    }
    this.#state[this.#unitAt + 1] = told;
    for (const { view, at } of views) view.learn(this.#state, at, value, atMs);
    this.#set.workspace.owner = undefined;
    this.#age(unit / SKETCH_KEEP, atMs);
  }

  /**
   * The values that would be ordinary now: the interval of the channel in the metric's unit that finds `value` oddest,
   * at one in 10^`ORDINARY_DECADES`, or narrower where even that channel is less surprised than that.
   */
  expected(value: number, atMs: number): Interval {
    const { channels, slots } = this.#set;
    const residuals = this.#measure(value, atMs);
    const unit = this.#state[this.#unitAt]!;
    let oddest = -1;
    let surprise = -1;
    for (let c = 0; c < channels.length; c++) {
      const residual = residuals[c]!;
      if (!channels[c]!.inValueUnit || Number.isNaN(residual)) continue;
      const sketchAt = residual < 0 ? channels[c]!.belowAt : channels[c]!.aboveAt;
      const found = sketchSurprise(this.#sketches, sketchAt, Math.abs(residual), this.#state[slots + c]!, unit);
      if (found > surprise) {
        surprise = found;
        oddest = c;
      }
    }
    if (oddest < 0) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
    const centre = value - residuals[oddest]!;
    const { aboveAt, belowAt } = channels[oddest]!;
    const total = this.#state[slots + oddest]!;
    const edge = Math.min(ORDINARY_DECADES, surprise);
    return {
      low: centre - sketchSize(this.#sketches, belowAt, edge, total, unit),
      high: centre + sketchSize(this.#sketches, aboveAt, edge, total, unit),
    };
  }

  /** How many points, fading with age, the surprises rest on: at most 5000. */
  get points(): number {
    return this.#state[this.#set.slots]! / this.#state[this.#unitAt]!;
  }

  /** The slow level, and the usual distance of values from it. */
  get level(): { readonly level: number; readonly usualDistance: number } {
    return levelOf(this.#state, this.#set.levelAt);
  }

  /** Moves the slow levels to `level` at once, when a shift was confirmed; how far values usually lie stays known. */
  rebaseline(level: number): void {
    for (const { view, at } of this.#set.views) view.rebaseline?.(this.#state, at, level);
    this.#set.workspace.owner = undefined;
  }

  save(): SurpriseState {
    return { set: this.#set.name, views: Array.from(this.#state), sketches: Array.from(this.#sketches) };
  }

  /** Throws when `saved` came from another set of views: its numbers would mean something else here. */
  restore(saved: SurpriseState): void {
    if (
      saved.set !== this.#set.name ||
      saved.views.length !== this.#state.length ||
      saved.sketches.length !== this.#sketches.length
    ) {
      throw new Error(`detector state of set "${saved.set}" does not fit set "${this.#set.name}": start afresh`);
    }
    this.#state.set(saved.views);
    this.#sketches.set(saved.sketches);
    this.#set.workspace.owner = undefined;
  }

  get #unitAt(): number {
    return this.#set.slots + this.#set.channels.length;
  }

  /** Residuals of all channels, in a workspace that the next measurement reuses. */
  #measure(value: number, atMs: number): Float64Array {
    const { views, workspace } = this.#set;
    const { residuals } = workspace;
    if (workspace.owner === this && workspace.value === value && workspace.atMs === atMs) return residuals;
    for (const { view, at, first } of views) view.measure(this.#state, at, value, atMs, residuals, first);
    workspace.owner = this;
    workspace.value = value;
    workspace.atMs = atMs;
    return residuals;
  }

  #age(unit: number, atMs: number): void {
    const beganAt = this.#unitAt + 2;
    if (this.#state[beganAt] === 0) this.#state[beganAt] = atMs;
    const isSpanOver = unit >= SPAN_UNIT && atMs - this.#state[beganAt]! >= SPAN_MS;
    if (!isSpanOver && unit < RESCALE_AT) {
      this.#state[this.#unitAt] = unit;
      return;
    }
    const { channels, sketches, slots } = this.#set;
    for (let i = 0; i < sketches; i++) rescaleSketch(this.#sketches, i * SKETCH_SLOTS, 1 / unit);
    for (let c = 0; c < channels.length; c++) this.#state[slots + c]! /= unit;
    this.#state[this.#unitAt] = 1;
    if (!isSpanOver) return;
    this.#state[beganAt] = atMs;
    this.#endSpan();
  }

  /** Starts the blind sketches afresh: both sides of a channel, for they share the weight of the points judged. */
  #endSpan(): void {
    const { channels, slots } = this.#set;
    const bits = this.#state[this.#unitAt + 1]!;
    const told = bits | (bits >> SPAN_BITS);
    const saysNothing = (at: number): boolean =>
      isSketchEmpty(this.#sketches, at) || (told & (1 << (at / SKETCH_SLOTS))) === 0;
    for (const [c, { aboveAt, belowAt }] of channels.entries()) {
      if (!saysNothing(aboveAt) || !saysNothing(belowAt)) continue;
      emptySketch(this.#sketches, aboveAt);
      emptySketch(this.#sketches, belowAt);
      this.#state[slots + c] = 0;
    }
    this.#state[this.#unitAt + 1] = bits << SPAN_BITS;
  }
}
