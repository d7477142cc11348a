import { describe, expect, it } from 'vitest';
import { LeakWatch } from '../../agent/core/pattern/memory-leak.ts';
import { noise } from '../bench/forecast/noise.ts';

const MINUTE = 60_000;
const DAY = 1440;
const settings = { limit: 1000, horizonMs: 14 * DAY * MINUTE };

/** Minutes at which a leak is told of. */
function toldAt(at: (t: number) => number, days: number, watch = new LeakWatch(settings)): number[] {
  const told: number[] = [];
  for (let t = 0; t < days * DAY; t++) if (watch.learn(at(t), t * MINUTE) !== undefined) told.push(t);
  return told;
}

/** Requests come and go: 300 and a daily swell, garbage collected every half hour. */
function healthy(seed: number) {
  const { normal } = noise(seed);
  return (t: number) => 300 + 60 * Math.sin((2 * Math.PI * t) / DAY) + (t % 30) * 2 + 5 * normal();
}

describe('memory leaks', () => {
  it('a healthy process with daily load and garbage collection has none', () => {
    for (const seed of [1, 2, 3]) expect(toldAt(healthy(seed), 6)).toEqual([]);
  });

  it.each([8, 24, 72])('a leak that fills the memory in %d hours is found before 80 %% of the limit', (hours) => {
    const base = healthy(4);
    const begin = 2 * DAY;
    const at = (t: number) => base(t) + (700 * Math.max(0, t - begin)) / (hours * 60);
    const [first] = toldAt(at, 2 + hours / 24);
    expect(first).toBeGreaterThan(begin);
    expect(300 + (700 * (first! - begin)) / (hours * 60)).toBeLessThan(800);
  });

  it('says how fast, and how long there is', () => {
    const watch = new LeakWatch(settings);
    const { normal } = noise(5);
    toldAt((t) => 300 + Math.max(0, t - DAY) * 0.25 + 3 * normal(), 2, watch);
    const leak = watch.current()!;
    expect(leak.evidence.growthPerHour).toBeGreaterThan(13);
    expect(leak.evidence.growthPerHour).toBeLessThan(17);
    // 340 left at 15 an hour: 23 hours.
    expect(leak.evidence.timeToLimitMs! / MINUTE / 60).toBeGreaterThan(18);
    expect(leak.evidence.timeToLimitMs! / MINUTE / 60).toBeLessThan(28);
    expect(leak.samples).toBeGreaterThan(0);
  });

  it('a leak from the first minute needs no history', () => {
    const { normal } = noise(6);
    const told = toldAt((t) => 200 + 0.4 * t + 5 * normal(), 1);
    expect(told[0]).toBeGreaterThan(0);
    expect(200 + 0.4 * told[0]!).toBeLessThan(800);
  });

  it('a cache that fills and stops is told of at most once', () => {
    const { normal } = noise(7);
    expect(toldAt((t) => 200 + Math.min(150, t * 0.3) + 5 * normal(), 6).length).toBeLessThanOrEqual(1);
  });

  it('one leak is one message a day at most; after a restart it is found anew', () => {
    const { normal } = noise(8);
    const at = (t: number) => 200 + 0.2 * (t % (1.5 * DAY)) + 5 * normal();
    const watch = new LeakWatch(settings);
    const told: number[] = [];
    for (let t = 0; t < 4.5 * DAY; t++) {
      if (t > 0 && t % (1.5 * DAY) === 0) {
        watch.restarted();
        expect(watch.current()).toBeUndefined();
      }
      if (watch.learn(at(t), t * MINUTE) !== undefined) told.push(Math.floor(t / (1.5 * DAY)));
    }
    expect(told.filter((run) => run === 0)).toHaveLength(1);
    expect(new Set(told)).toEqual(new Set([0, 1, 2]));
  });

  it('a restart that nobody told of is seen, and the next run is judged like the first', () => {
    const { normal } = noise(10);
    const run = 12 * 60;
    const told = toldAt((t) => 200 + 0.9 * (t % run) + 5 * normal(), 3);
    expect(new Set(told.map((t) => Math.floor(t / run)))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    for (const t of told) expect(200 + 0.9 * (t % run)).toBeLessThan(800);
  });

  it('without a limit, growth is judged against its own start', () => {
    const { normal } = noise(9);
    const watch = new LeakWatch({ horizonMs: settings.horizonMs });
    expect(toldAt((t) => 200 + Math.max(0, t - DAY) * 0.2 + 5 * normal(), 2, watch).length).toBeGreaterThan(0);
    expect(watch.current()!.evidence).not.toHaveProperty('timeToLimitMs');
  });
});
