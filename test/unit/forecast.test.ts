import { describe, expect, it } from 'vitest';
import { capacityReport } from '../../agent/core/forecast/capacity.ts';
import { Ensemble, HOURLY } from '../../agent/core/forecast/ensemble.ts';
import { analogue } from '../../agent/core/forecast/experts/analogue.ts';
import { extrapolate } from '../../agent/core/forecast/experts/autoregression.ts';
import { dampedTrend } from '../../agent/core/forecast/experts/damped-trend.ts';
import { onLogScale } from '../../agent/core/forecast/experts/log-scale.ts';
import { panel } from '../../agent/core/forecast/experts/panel.ts';
import { seasonalMean } from '../../agent/core/forecast/experts/seasonal-mean.ts';
import { seasonalNaive } from '../../agent/core/forecast/experts/seasonal-naive.ts';
import { withinReach } from '../../agent/core/forecast/experts/within-reach.ts';
import { GapFilledHistory } from '../../agent/core/forecast/history.ts';
import { headRoomRatio, timeToLimit } from '../../agent/core/forecast/limits.ts';
import { combine, weigh } from '../../agent/core/forecast/rolling-origin.ts';
import { Rollup, rollUp } from '../../agent/core/forecast/rollup.ts';
import {
  concurrencyAtLatency,
  fitScalability,
  type LoadPoint,
  latencyMsAt,
  peakConcurrency,
  throughputAt,
} from '../../agent/core/forecast/scalability.ts';
import { loadAtSlo } from '../../agent/core/forecast/slo-load.ts';
import { noise } from '../bench/forecast/noise.ts';

const f64 = (...v: number[]) => Float64Array.from(v);

/** Hours with a day, a week and some noise. */
function hours(count: number, seed = 1, level = 100): Float64Array {
  const { normal } = noise(seed);
  return Float64Array.from({ length: count }, (_, t) => {
    const day = 20 * Math.sin((2 * Math.PI * t) / 24);
    const weekend = Math.floor(t / 24) % 7 >= 5 ? -25 : 0;
    return level + day + weekend + 2 * normal();
  });
}

describe('experts', () => {
  it('seasonal naive repeats the last cycle; its mean averages cycles', () => {
    expect([...seasonalNaive(2).predict(f64(9, 1, 2), 3)]).toEqual([1, 2, 1]);
    expect([...seasonalMean(2, 2).predict(f64(0, 0, 1, 2, 3, 4), 3)]).toEqual([2, 3, 2]);
  });

  it('an autoregression finds the recurrence behind noiseless values', () => {
    const y = Float64Array.from({ length: 200 }, (_, t) => 10 + 5 * Math.sin(t / 4));
    const next = extrapolate(y, 20, { lags: [1, 2], forgetting: 1, ridge: 1e-6 });
    for (const [h, v] of next.entries()) expect(v).toBeCloseTo(10 + 5 * Math.sin((200 + h) / 4), 2);
  });

  it('a damped trend follows a climb and lets it die out', () => {
    const climb = Float64Array.from({ length: 100 }, (_, t) => t);
    const path = dampedTrend({ level: 0.5, trend: 0.1, damping: 0.9 }).predict(climb, 100);
    expect(path[0]).toBeGreaterThan(98);
    expect(path[99]! - path[98]!).toBeLessThan(path[1]! - path[0]!);
  });

  it('an analogue repeats what followed the same shape, at the present size', () => {
    const shape = [1, 5, 2, 8, 3, 1];
    const { uniform } = noise(5);
    const y = Float64Array.from({ length: 60 }, () => 10 * uniform());
    for (const [i, v] of shape.entries()) {
      y[12 + i] = v;
      y[18 + i] = 7 + i;
      y[54 + i] = 2 * v;
    }
    const path = analogue({ window: 6, neighbours: 1, period: 6, match: 'scale' }).predict(y, 6);
    for (const [h, v] of path.entries()) expect(v).toBeCloseTo(2 * (7 + h), 9);
  });

  it('logarithms are used only where there are some', () => {
    const double = onLogScale(seasonalNaive(1));
    expect(double.predict(f64(1, 2, 4), 1)[0]).toBeCloseTo(4, 9);
    expect(double.predict(f64(1, 0, -4), 1)[0]).toBe(-4);
  });

  it('nobody goes further than one range beyond what was seen, nor below zero unseen', () => {
    const wild = (v: number) =>
      withinReach({ name: 'wild', minHistory: 1, predict: (_, h) => new Float64Array(h).fill(v) });
    expect(wild(1e9).predict(f64(10, 20), 1)[0]).toBe(30);
    expect(wild(-1e9).predict(f64(10, 30), 1)[0]).toBe(0);
    expect(wild(-1e9).predict(f64(-10, 30), 1)[0]).toBe(-50);
  });
});

describe('weights', () => {
  const trial = (...paths: (Float64Array | undefined)[]) => ({ origin: 0, paths, truth: f64(10, 10) });

  it('twice the error is a sixty-fourth of the say', () => {
    const w = weigh([trial(f64(12, 12), f64(11, 11))], 2, [true, true]);
    expect(w[1]! / w[0]!).toBeCloseTo(64, 6);
    expect(w[0]! + w[1]!).toBeCloseTo(1, 12);
  });

  it('who was absent is compared on the trials both took part in', () => {
    const trials = [trial(f64(12, 12), f64(11, 11)), trial(f64(12, 12), f64(11, 11)), trial(f64(90, 90), undefined)];
    const w = weigh(trials, 2, [true, true]);
    expect(w[1]! / w[0]!).toBeCloseTo(64, 6);
  });

  it('gaps in the truth count for nobody, and an unavailable expert has no say', () => {
    const gap = { origin: 0, paths: [f64(11, 99), f64(12, 12)], truth: f64(10, Number.NaN) };
    const w = weigh([gap], 2, [true, true]);
    expect(w[0]! / w[1]!).toBeCloseTo(64, 6);
    expect(weigh([gap], 2, [true, false])[1]).toBe(0);
  });

  it('absent paths are left out of the mean', () => {
    expect([...combine([f64(1, 1), undefined, f64(4, 4)], f64(0.5, 0.4, 0.1), 2)]).toEqual([1.5, 1.5]);
  });
});

describe('the ensemble', () => {
  it('beats repeating yesterday, and covers about what it promises', () => {
    const all = hours(840 + 480);
    let ours = 0;
    let naive = 0;
    let inside = 0;
    let steps = 0;
    for (let origin = 840; origin + 48 <= all.length; origin += 48) {
      const f = new Ensemble(panel(HOURLY.seasons), HOURLY);
      f.fit(all.slice(0, origin));
      for (const [h, p] of f.forecast(48).entries()) {
        const y = all[origin + h]!;
        ours += Math.abs(y - p.median);
        naive += Math.abs(y - all[origin - 24 + (h % 24)]!);
        if (y >= p.low && y <= p.high) inside++;
        steps++;
      }
    }
    expect(ours).toBeLessThan(0.6 * naive);
    expect(inside / steps).toBeGreaterThan(0.9);
    expect(inside / steps).toBeLessThan(0.995);
  });

  it('says nothing on next to nothing, and something once there is a little', () => {
    const f = new Ensemble(panel(HOURLY.seasons), HOURLY);
    expect(f.forecast(5)).toEqual([]);
    f.fit([1, 2, 3]);
    expect(f.forecast(5)).toEqual([]);
    f.fit(hours(30));
    expect(f.forecast(5)).toHaveLength(5);
  });

  it('goes on with new values between calibrations, and calibrates by itself when it must', () => {
    const y = hours(600);
    const f = new Ensemble(panel(HOURLY.seasons), HOURLY);
    f.fit(y.slice(0, 500));
    const before = f.forecast(1)[0]!;
    f.update(y[500]!);
    expect(f.forecast(1)[0]!.median).not.toBe(before.median);
    expect(f.save().fitted).toBe(500);
    for (let t = 501; t < 524; t++) f.update(y[t]!);
    expect(f.save().fitted).toBe(524);
  });

  it('weights sum to one, and name their expert', () => {
    const f = new Ensemble(panel(HOURLY.seasons), HOURLY);
    f.fit(hours(500));
    expect([...f.weights().values()].reduce((a, b) => a + b)).toBeCloseTo(1, 9);
    expect(f.weights().has('seasonal_naive_168')).toBe(true);
  });

  it('intervals widen beyond the steps they were calibrated on', () => {
    const f = new Ensemble(panel(HOURLY.seasons), HOURLY);
    f.fit(hours(840));
    const path = f.forecast(192);
    const width = (h: number) => path[h]!.high - path[h]!.low;
    expect(width(191)).toBeCloseTo(2 * width(47), 6);
  });
});

describe('history', () => {
  it('fills a gap with one cycle ago, longest first, else the last value; never before the first', () => {
    const h = new GapFilledHistory(10, [2, 4]);
    for (const v of [Number.NaN, 1, 2, 3, Number.NaN, Number.NaN]) h.push(v);
    // At the first gap four steps ago is not there yet, two steps ago is 2; at the second four steps ago is 1.
    expect([...h.values()]).toEqual([1, 2, 3, 2, 1]);
    expect([...h.filled()]).toEqual([0, 0, 0, 1, 1]);
  });

  it('keeps no more than its capacity', () => {
    const h = new GapFilledHistory(3, []);
    for (let i = 0; i < 10; i++) h.push(i);
    expect([...h.values()]).toEqual([7, 8, 9]);
  });
});

describe('rolling up', () => {
  it('averages by step of the clock, with gaps as NaN, in any order', () => {
    const grid = rollUp([3_700_000, 100, 200, 7_300_000 + 3_600_000], [5, 1, 3, 9], 3_600_000);
    expect([...grid]).toEqual([2, 5, Number.NaN, 9]);
  });

  it('does the same as samples come, one step late', () => {
    const r = new Rollup(1000);
    expect(r.push(1, 100)).toEqual([]);
    expect(r.push(3, 900)).toEqual([]);
    expect(r.push(7, 1100)).toEqual([2]);
    expect(r.push(8, 3500)).toEqual([7, Number.NaN]);
    expect(r.push(1, 100)).toEqual([]);
    const copy = new Rollup(1000);
    copy.restore(r.save());
    expect(copy.push(0, 4000)).toEqual(r.push(0, 4000));
  });

  it('hands on no more gaps than it may', () => {
    const r = new Rollup(1, 5);
    r.push(1, 0);
    expect(r.push(1, 1e12)).toHaveLength(6);
  });
});

describe('limits', () => {
  const path = [10, 20, 30].map((m) => ({ median: m, low: m - 10, high: m + 10 }));

  it('the first step at which each edge passes', () => {
    expect(timeToLimit(path, { value: 20, side: 'above' }, 1000)).toEqual({
      soonestMs: 1000,
      expectedMs: 2000,
      latestMs: 3000,
    });
    expect(timeToLimit([...path].reverse(), { value: 20, side: 'below' }, 1000)).toEqual({
      soonestMs: 1000,
      expectedMs: 2000,
      latestMs: 3000,
    });
  });

  it('is silent on edges that never get there', () => {
    expect(timeToLimit(path, { value: 35, side: 'above' }, 1000)).toEqual({ soonestMs: 3000 });
    expect(timeToLimit(path, { value: 99, side: 'above' }, 1000)).toEqual({});
    expect(timeToLimit([], { value: 0, side: 'above' }, 1000)).toEqual({});
  });

  it('head room is what is left of the way', () => {
    expect(headRoomRatio(60, { value: 80, side: 'above' })).toBeCloseTo(0.25, 12);
    expect(headRoomRatio(40, { value: 10, side: 'below' })).toBeCloseTo(0.75, 12);
    expect(headRoomRatio(90, { value: 60, side: 'above' })).toBeCloseTo(-0.5, 12);
    expect(headRoomRatio(1, { value: 0, side: 'above' })).toBeUndefined();
  });
});

describe('the universal scalability law', () => {
  const law = { ratePerSecond: 50, contention: 0.05, coherence: 0.002 };
  const points = (spread: number): LoadPoint[] => {
    const { normal } = noise(3);
    return Array.from({ length: 60 }, (_, i) => {
      const concurrency = 1 + (i % 20);
      const throughputPerSecond = throughputAt(law, concurrency) * (1 + spread * normal());
      return { concurrency, throughputPerSecond, latencyMs: (1000 * concurrency) / throughputPerSecond };
    });
  };

  it('is found again in noiseless points', () => {
    const fitted = fitScalability(points(0))!;
    expect(fitted.ratePerSecond).toBeCloseTo(50, 4);
    expect(fitted.contention).toBeCloseTo(0.05, 5);
    expect(fitted.coherence).toBeCloseTo(0.002, 6);
    expect(peakConcurrency(fitted)).toBeCloseTo(Math.sqrt(0.95 / 0.002), 2);
  });

  it('says the load at which the latency breaks, and Little agrees', () => {
    const n = concurrencyAtLatency(law, 60)!;
    expect(latencyMsAt(law, n)).toBeCloseTo(60, 6);
    const found = loadAtSlo(points(0.03), 60)!;
    expect(found.throughputPerSecond / throughputAt(law, n)).toBeGreaterThan(0.95);
    expect(found.throughputPerSecond / throughputAt(law, n)).toBeLessThan(1.05);
    expect(found.low).toBeLessThanOrEqual(throughputAt(law, n));
    expect(found.high).toBeGreaterThanOrEqual(throughputAt(law, n));
    expect(found.littleRatio).toBeCloseTo(1, 6);
    expect(found.extrapolated).toBe(false);
  });

  it('does not promise beyond twice what was seen', () => {
    const found = loadAtSlo(
      points(0).map((p) => ({ ...p, concurrency: p.concurrency })),
      5000,
    )!;
    expect(found.concurrency).toBeLessThanOrEqual(2 * found.observedConcurrency);
  });

  it('is silent on one load, on few points, and where even one request is too slow', () => {
    const same = Array.from({ length: 20 }, () => ({ concurrency: 4, throughputPerSecond: 100, latencyMs: 40 }));
    expect(fitScalability(same)).toBeUndefined();
    expect(fitScalability(points(0).slice(0, 5))).toBeUndefined();
    expect(loadAtSlo(points(0), 5)).toBeUndefined();
  });

  it('a linear service never peaks', () => {
    const linear = Array.from({ length: 20 }, (_, i) => ({
      concurrency: 1 + i,
      throughputPerSecond: 10 * (1 + i),
      latencyMs: 100,
    }));
    const fitted = fitScalability(linear)!;
    expect(fitted.contention).toBeCloseTo(0, 9);
    expect(peakConcurrency(fitted)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('the capacity report', () => {
  it('is plain data: value, forecast, limit, head room, breach, load', () => {
    const y = Float64Array.from({ length: 400 }, (_, t) => 100 + t);
    const forecaster = new Ensemble(panel([]), { ...HOURLY, seasons: [] });
    forecaster.fit(y);
    const points = Array.from({ length: 40 }, (_, i) => {
      const n = 1 + (i % 10);
      return {
        concurrency: n,
        throughputPerSecond: (20 * n) / (1 + 0.1 * (n - 1)),
        latencyMs: 50 * (1 + 0.1 * (n - 1)),
      };
    });
    const report = capacityReport(
      'svc',
      5,
      48 * 3_600_000,
      [
        {
          metric: 'memory',
          unit: 'By',
          forecaster,
          stepMs: 3_600_000,
          now: 499,
          limit: { value: 510, side: 'above' },
        },
      ],
      { points, latencyLimitMs: 80, arrivals: [{ median: 40, low: 30, high: 50 }] },
    );
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    const [memory] = report.metrics;
    expect(memory!.headRoomRatio).toBeCloseTo(1 - 499 / 510, 9);
    expect(memory!.breach!.expectedMs).toBeGreaterThan(0);
    expect(memory!.worst!.median).toBeGreaterThanOrEqual(memory!.forecast!.median - 1e-9);
    expect(report.load!.headRoomRatio).toBeCloseTo(1 - 40 / report.load!.throughputPerSecond, 9);
  });

  it('leaves out what it cannot know', () => {
    const forecaster = new Ensemble(panel([]), { ...HOURLY, seasons: [] });
    const report = capacityReport('svc', 0, 1000, [{ metric: 'm', unit: '1', forecaster, stepMs: 100, now: 1 }]);
    expect(report.metrics[0]).toEqual({ metric: 'm', unit: '1', now: 1 });
    expect(report).not.toHaveProperty('load');
  });
});
