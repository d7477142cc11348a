import { describe, expect, it } from 'vitest';
import { bimodal } from '../../agent/core/pattern/bimodal.ts';
import { changePoints } from '../../agent/core/pattern/change-points.ts';
import { correlate } from '../../agent/core/pattern/correlation.ts';
import { loadKnee } from '../../agent/core/pattern/load-dependence.ts';
import type { Recogniser, Window } from '../../agent/core/pattern/pattern.ts';
import { saturation } from '../../agent/core/pattern/saturation.ts';
import { seasonality } from '../../agent/core/pattern/seasonality.ts';
import { levelShift, varianceShift } from '../../agent/core/pattern/shifts.ts';
import { spikeTrain } from '../../agent/core/pattern/spike-train.ts';
import { trend } from '../../agent/core/pattern/trend.ts';
import { PatternWatch, recognisersFor } from '../../agent/core/pattern/watch.ts';
import { type Noise, noise } from '../bench/forecast/noise.ts';

const MINUTE = 60_000;

function windowOf(values: readonly number[]): Window {
  return { timesMs: values.map((_, i) => i * MINUTE), values };
}

function minutes(seed: number, at: (t: number, n: Noise) => number, count = 360): Window {
  const n = noise(seed);
  return windowOf(Array.from({ length: count }, (_, t) => at(t, n)));
}

/** How many of twenty windows it recognises. */
function hits(recogniser: Recogniser, at: (t: number, n: Noise) => number): number {
  let count = 0;
  for (let seed = 1; seed <= 20; seed++) if (recogniser.recognise(minutes(seed, at)) !== undefined) count++;
  return count;
}

/** `x = share·x + noise`, about 100: 1 is a random walk. */
function inertia(share: number): (t: number, n: Noise) => number {
  let x = 0;
  return (_, n) => {
    x = share * x + n.normal();
    return 100 + x;
  };
}

const quiet: Readonly<Record<string, (t: number, n: Noise) => number>> = {
  noise: (_, n) => 100 + 5 * n.normal(),
  skewed_noise: (_, n) => 20 * Math.exp(0.5 * n.normal()),
  constant: () => 42,
  zero: () => 0,
};

describe.each(recognisersFor().map((r) => [r.type, r] as const))('%s', (_, recogniser) => {
  it.each(Object.entries(quiet))('sees nothing in %s', (__, at) => {
    expect(hits(recogniser, at)).toBeLessThanOrEqual(1);
  });
});

describe('what is there is found, and measured', () => {
  it('a trend, with its rate', () => {
    const slope = (t: number, n: Noise) => 100 + 0.2 * t + 5 * n.normal();
    expect(hits(trend, slope)).toBe(20);
    const found = trend.recognise(minutes(1, slope))!;
    expect(found.evidence.changePerHour).toBeGreaterThan(10);
    expect(found.evidence.changePerHour).toBeLessThan(14);
    expect(found.impactLog).toBeCloseTo(Math.log(172 / 100), 1);
    expect(found.confidence).toBeGreaterThan(0.999);
  });

  it('a step is no trend, and a trend is no step', () => {
    expect(hits(trend, (t, n) => (t < 180 ? 100 : 140) + 5 * n.normal())).toBe(0);
    expect(hits(levelShift, (t, n) => 100 + 0.2 * t + 5 * n.normal())).toBe(0);
  });

  it('a cycle, with its period', () => {
    const cycle = (t: number, n: Noise) => 100 + 10 * Math.sin((2 * Math.PI * t) / 45) + 4 * n.normal();
    expect(hits(seasonality, cycle)).toBeGreaterThanOrEqual(18);
    const found = seasonality.recognise(minutes(2, cycle))!;
    expect(Math.abs(found.evidence.periodMs! / MINUTE - 45)).toBeLessThanOrEqual(2);
  });

  it('a level shift, when and by how much; wandering is none', () => {
    const step = (t: number, n: Noise) => (t < 200 ? 100 : 120) + 5 * n.normal();
    expect(hits(levelShift, step)).toBe(20);
    const found = levelShift.recognise(minutes(3, step))!;
    expect(Math.abs(found.sinceMs / MINUTE - 200)).toBeLessThanOrEqual(3);
    expect(found.evidence.change).toBeGreaterThan(17);
    expect(found.evidence.change).toBeLessThan(23);
    expect(found.impactLog).toBeCloseTo(Math.log(1.2), 1);
    expect(hits(levelShift, inertia(1))).toBeLessThanOrEqual(1);
    expect(hits(levelShift, inertia(0.9))).toBeLessThanOrEqual(1);
  });

  it('a step without any noise', () => {
    expect(hits(levelShift, (t) => (t < 100 ? 5 : 6))).toBe(20);
  });

  it('a variance shift', () => {
    const louder = (t: number, n: Noise) => 100 + (t < 180 ? 2 : 8) * n.normal();
    expect(hits(varianceShift, louder)).toBeGreaterThanOrEqual(18);
    expect(varianceShift.recognise(minutes(1, louder))!.evidence.ratio).toBeGreaterThan(3);
  });

  it('a spike train, with its beat; two spikes are none', () => {
    const beat = (t: number, n: Noise) => (t % 40 === 7 ? 200 : 100) + 3 * n.normal();
    expect(hits(spikeTrain, beat)).toBe(20);
    const found = spikeTrain.recognise(minutes(1, beat))!;
    expect(found.evidence.gapMs).toBe(40 * MINUTE);
    expect(found.evidence.gapVariation).toBe(0);
    expect(hits(spikeTrain, (t, n) => (t === 50 || t === 250 ? 200 : 100) + 3 * n.normal())).toBe(0);
  });

  it('saturation: under an unknown ceiling, at a known limit, and on the way to it', () => {
    expect(hits(saturation(), (_, n) => Math.min(100, 97 + 5 * n.normal()))).toBe(20);
    expect(hits(saturation(1), (_, n) => Math.min(1, 0.97 + 0.02 * n.normal()))).toBe(20);
    expect(hits(saturation(1000), (_, n) => 500 + 50 * n.normal())).toBe(0);
    const climbing = saturation(1000).recognise(minutes(1, (t, n) => 300 + 1.5 * t + 20 * n.normal()))!;
    expect(climbing.evidence.timeToLimitMs! / MINUTE).toBeGreaterThan(80);
    expect(climbing.evidence.timeToLimitMs! / MINUTE).toBeLessThan(140);
  });

  it('two modes with changes back and forth; one change is a shift', () => {
    const modes = (t: number, n: Noise) => (Math.floor(t / 7) % 3 === 0 ? 50 : 100) + 5 * n.normal();
    expect(hits(bimodal, modes)).toBe(20);
    const found = bimodal.recognise(minutes(1, modes))!;
    expect(found.evidence.lowMode).toBeCloseTo(50, -1);
    expect(found.evidence.highMode).toBeCloseTo(100, -1);
    expect(hits(bimodal, (t, n) => (t < 180 ? 50 : 100) + 5 * n.normal())).toBe(0);
  });
});

describe('change points', () => {
  it('cuts where level, slope or noise change', () => {
    const { normal } = noise(4);
    const y = Array.from({ length: 300 }, (_, t) => (t < 100 ? 10 : t < 200 ? 20 : 20 + (t - 200) * 0.4) + normal());
    const found = changePoints(y);
    expect(found.map((c) => c.index)).toHaveLength(2);
    expect(Math.abs(found[0]!.index - 100)).toBeLessThanOrEqual(2);
    expect(Math.abs(found[1]!.index - 200)).toBeLessThanOrEqual(10);
    for (const c of found) expect(c.posterior).toBeGreaterThan(0.9);
  });

  it('finds none in a line, a constant, a lone spike, or nothing', () => {
    const { normal } = noise(5);
    expect(changePoints(Array.from({ length: 200 }, (_, t) => t + normal()))).toEqual([]);
    expect(changePoints(new Array<number>(200).fill(0.1))).toEqual([]);
    expect(changePoints(Array.from({ length: 200 }, (_, t) => (t === 90 ? 500 : 0) + normal()))).toEqual([]);
    expect(changePoints([])).toEqual([]);
    expect(changePoints([1, 2])).toEqual([]);
  });

  it('counts gaps in, and coarsens what is too long', () => {
    const { normal } = noise(6);
    const y = Array.from({ length: 4000 }, (_, t) => (t % 3 === 0 ? Number.NaN : (t < 3000 ? 0 : 5) + normal()));
    const found = changePoints(y);
    expect(found).toHaveLength(1);
    expect(Math.abs(found[0]!.index - 3000)).toBeLessThanOrEqual(12);
  });
});

describe('two metrics', () => {
  const cause = minutes(7, (_, n) => 50 + 10 * n.normal());

  it('the effect that follows is found at its lag; drifting apart is no correlation', () => {
    const n = noise(8);
    const after = Array.from(cause.values, (_, t) => 10 + (t >= 3 ? cause.values[t - 3]! : 50) + 10 * n.normal());
    const found = correlate(cause, windowOf(after))!;
    expect(found.evidence.lagMs).toBe(3 * MINUTE);
    expect(found.evidence.correlation).toBeGreaterThan(0.5);
    const walks = [minutes(9, inertia(1)), minutes(10, inertia(1))] as const;
    expect(correlate(...walks)).toBeUndefined();
    expect(
      correlate(
        cause,
        minutes(11, () => 3),
      ),
    ).toBeUndefined();
  });

  it('the knee: where latency begins to climb with load', () => {
    const n = noise(12);
    const samples = (extra: number) =>
      Array.from({ length: 300 }, (_, t) => {
        const load = 100 * n.uniform();
        return { atMs: t * MINUTE, load, value: 20 + 0.1 * load + extra * Math.max(0, load - 60) + 2 * n.normal() };
      });
    const found = loadKnee(samples(3))!;
    expect(Math.abs(found.evidence.kneeLoad! - 60)).toBeLessThan(5);
    expect(found.evidence.slopeAbove).toBeGreaterThan(2.5);
    expect(loadKnee(samples(0))).toBeUndefined();
    expect(loadKnee(samples(3).map((s) => ({ ...s, load: 5 })))).toBeUndefined();
  });
});

describe('the watch of one metric', () => {
  const feed = (watch: PatternWatch, at: (t: number) => number, from: number, to: number) => {
    const news = [];
    for (let t = from; t < to; t++) news.push(...watch.learn(at(t), t * MINUTE));
    return news.map((p) => p.type);
  };

  it('tells of a shift once, within twenty minutes', () => {
    const { normal } = noise(13);
    const watch = new PatternWatch({ stepMs: MINUTE });
    const at = (t: number) => (t < 300 ? 100 : 150) + 3 * normal();
    expect(feed(watch, at, 0, 300)).toEqual([]);
    expect(feed(watch, at, 300, 320)).toEqual(['level_shift']);
    expect(feed(watch, at, 320, 600)).not.toContain('level_shift');
  });

  it('keeps quiet on what is real but small', () => {
    const { normal } = noise(14);
    const watch = new PatternWatch({ stepMs: MINUTE });
    expect(feed(watch, (t) => (t < 300 ? 100 : 101) + 0.01 * normal(), 0, 600)).toEqual([]);
  });

  it('passes a leak on', () => {
    const { normal } = noise(15);
    const watch = new PatternWatch({ stepMs: MINUTE, limit: 1000, leak: { horizonMs: 14 * 86_400_000 } });
    const news = feed(watch, (t) => 300 + Math.max(0, t - 1440) * 0.5 + 10 * normal(), 0, 2400);
    expect(news).toContain('memory_leak');
    watch.restarted();
    expect(watch.current().some((p) => p.type === 'memory_leak')).toBe(false);
  });
});
