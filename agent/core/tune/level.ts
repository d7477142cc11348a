import type { Setting } from '../model.ts';
import { loadEffectOf } from './load_effect.ts';
import { median } from './proof.ts';
import { sameSetting } from './setting.ts';
import { percent } from './triggers.ts';

/**
 * Whether what is in force may have become worse than the default all of a sudden: its level has risen by more than the load explains, or
 * the load is one at which it was never compared.
 *
 * Intuition. What was proven was proven in the circumstances of that hour. When they change (a new release, other requests, a load
 * that fills a queue, or one that no longer fills a batch) what is held may be far worse than the default all at once, and a search
 * that compares with what is held does not notice: it looks for the way down from there. Neither a rise nor a strange load says that it
 * is so; a few windows at the baselines do (`checkpoint.ts`), and this says when to take them.
 *
 *   expected(x) = median over the windows before the last three of [ yᵢ + θ (x − xᵢ) ],  x = ln load, θ by ridge regression over them
 *   risen where two of the last three windows are above it by more than max(ln 1.2, 3 deviations of a window as known before them), or the
 *          last where what was tried before it had to be left for being far worse: the cause is not what was tried
 *   strange where the load of the last eight windows (median) is more than half as much again as the largest, or by as much smaller
 *           than the smallest, in the proof and in the checks since
 *
 * The bounds are low since looking costs a few windows, and not looking may cost hundreds. What was just proven has a level already: that
 * of its windows in the proof. What has risen is not learned until it was looked into, or it would soon be the level. θ is what the load
 * has done so far, at most half of proportional: learned from small swings it is not to be trusted with a large step, and a rise that
 * only a steep effect of the load explains is a queue that fills, just what is to be found.
 *
 * Units: log objective. Fails for what comes slowly or is below the bounds, which is left to the checks that are due anyway; lost with the
 * agent. Sources: CUPED for the load (`reference.ts`); two of three, from the run rules of Western Electric, Statistical Quality Control
 * Handbook, 1956.
 *
 * Example: a level of 0 with noise .06 → windows of .3, .1 and .35 in a row are a rise, .3, .1 and .1 are not; proven at 80 to 120 requests
 * a second, 180 are strange, and so are 53.
 */
const WINDOWS_KEPT = 64;
const LAST = 3;
const RISEN = 2;
const LEAST_WINDOWS = 4;
const MOST_LOAD_EFFECT = 0.5;
const LEAST_RISE = Math.log(1.2);
const DEVIATIONS = 3;
const BEYOND = Math.log(1.5);
/** A spike of the load is over sooner. */
const LOADS = 8;

interface Point {
  readonly x: number;
  readonly y: number;
}

export class Level {
  #at: Setting | undefined;
  #signals: string | undefined;
  #before: Point[] = [];
  #last: (Point & { readonly noise: number })[] = [];
  /** Of a window, as it was known before the last ones: to whoever looks back on it, a rise is noise. */
  #noise: number | undefined;
  #risen: string | undefined;
  /** Something else was far worse than it just now: that may have been no fault of that. */
  #isSuspect = false;
  #strange: string | undefined;
  /** ln of the loads of the last windows, whatever was in force. */
  #loads: number[] = [];
  /** ln of the least and the largest load at which what is in force was compared with something. */
  #compared: readonly [number, number] | undefined;
  /** What is being proven, and what its windows have shown. */
  #candidate: { readonly at: Setting; readonly signals: string; readonly windows: Point[] } | undefined;

  /** A window of a proof at another setting than the one in force. */
  note(point: Point, signals: string, at: Setting): void {
    const known = this.#candidate;
    const isSame = known !== undefined && known.signals === signals && sameSetting(known.at, at);
    const windows = isSame ? [...known.windows, point] : [point];
    this.#candidate = { at, signals, windows: windows.slice(-WINDOWS_KEPT) };
  }

  /** A window at `at` with ln of its load `x`; another setting, or other signals, have another level. */
  observe({ x, y }: Point, signals: string, at: Setting, noise: number): void {
    const isOther = this.#at === undefined || !sameSetting(this.#at, at) || this.#signals !== signals;
    if (isOther) this.#begin(signals, at);
    this.#noise ??= noise;
    this.#last.push({ x, y, noise });
    if (this.#last.length > LAST) {
      const [oldest] = this.#last.splice(0, 1);
      if (this.#risen === undefined) {
        this.#before.push(oldest);
        this.#noise = oldest.noise;
      }
      if (this.#before.length > WINDOWS_KEPT) this.#before.shift();
    }
    if (this.#before.length >= LEAST_WINDOWS) this.#risen ??= this.#rise(this.#noise);
    this.#isSuspect = false;
  }

  /** What was tried was far worse than expected of it. Where its next window is so too, what was tried is not why. */
  suspect(): void {
    this.#isSuspect = true;
  }

  /** The load of a window, whatever was in force. */
  load(x: number): void {
    this.#loads.push(x);
    if (this.#loads.length > LOADS) this.#loads.shift();
    if (this.#loads.length < LOADS || this.#compared === undefined) return;
    const [[least, most], now] = [this.#compared, median(this.#loads)];
    if (now > most + BEYOND)
      this.#strange ??= `the load is ${percent(Math.expm1(now - most))} above any it was compared at`;
    if (now < least - BEYOND)
      this.#strange ??= `the load is ${percent(-Math.expm1(now - least))} below any it was compared at`;
  }

  /** That it has risen, in words. */
  get risen(): string | undefined {
    return this.#risen;
  }

  /** That the load is strange to it, in words. */
  get strange(): string | undefined {
    return this.#strange;
  }

  /** It was looked into: where it had risen, what it shows now is its level from now on; and this load is none to worry about. */
  renew(): void {
    if (this.#risen !== undefined) this.#forget();
    this.#strange = undefined;
    this.#compareAt(this.#loads);
  }

  #forget(): void {
    this.#before = [];
    this.#last = [];
    this.#noise = undefined;
    this.#risen = undefined;
    this.#isSuspect = false;
  }

  #compareAt(loads: readonly number[]): void {
    if (loads.length > 0) {
      this.#compared = [
        Math.min(...loads, this.#compared?.[0] ?? Infinity),
        Math.max(...loads, this.#compared?.[1] ?? -Infinity),
      ];
    }
  }

  #begin(signals: string, at: Setting): void {
    this.#compared = undefined;
    this.#forget();
    this.renew();
    [this.#at, this.#signals] = [at, signals];
    const proven = this.#candidate;
    if (proven?.signals !== signals || !sameSetting(proven.at, at)) return;
    this.#before = [...proven.windows];
    this.#compareAt(proven.windows.map(({ x }) => x));
  }

  #rise(noise: number): string | undefined {
    const effect = Math.min(MOST_LOAD_EFFECT, loadEffectOf(this.#before, noise));
    const excesses = this.#last.map(({ x, y }) => y - median(this.#before.map((w) => w.y + effect * (x - w.x))));
    const most = Math.max(LEAST_RISE, DEVIATIONS * noise);
    const now = excesses.at(-1) ?? 0;
    if (this.#isSuspect && now > most) return worseBy(now);
    return excesses.filter((excess) => excess > most).length < RISEN ? undefined : worseBy(median(excesses));
  }
}

function worseBy(excess: number): string {
  return `it is ${percent(Math.expm1(excess))} worse than it was for long`;
}
