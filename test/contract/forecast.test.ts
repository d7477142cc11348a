import { describe, expect, it } from 'vitest';
import { Ensemble, type EnsembleSettings, HOURLY } from '../../agent/core/forecast/ensemble.ts';
import { panel } from '../../agent/core/forecast/experts/panel.ts';
import type { Forecaster, ForecasterState } from '../../agent/core/forecast/forecaster.ts';
import { noise } from '../bench/forecast/noise.ts';

/** Everything that calls itself a forecaster passes this: add it here. */
const forecasters: Readonly<Record<string, (state?: ForecasterState) => Forecaster>> = {
  hourly: (state) => make(HOURLY, state),
  daily_cycle: (state) => make({ ...HOURLY, seasons: [24], horizon: 24 }, state),
  no_cycle: (state) => make({ ...HOURLY, seasons: [], horizon: 12, maxHistory: 288, refitAfter: 12 }, state),
};

function make(settings: EnsembleSettings, state?: ForecasterState): Forecaster {
  return new Ensemble(panel(settings.seasons), settings, state);
}

function series(count: number, seed = 7): number[] {
  const { normal } = noise(seed);
  return Array.from({ length: count }, (_, t) => 50 + 10 * Math.sin((2 * Math.PI * t) / 24) + 0.01 * t + normal());
}

describe.each(Object.entries(forecasters))('forecaster %s', (_, create) => {
  it('leaves its input alone', () => {
    const y = Object.freeze(series(400));
    const f = create();
    f.fit(y);
    f.forecast(24);
    expect(y).toEqual(series(400));
  });

  it('survives gaps, infinities and nothing at all', () => {
    const y = series(500).map((v, i) => (i % 11 === 3 ? Number.NaN : i === 40 ? Number.POSITIVE_INFINITY : v));
    for (let i = 200; i < 240; i++) y[i] = Number.NaN;
    const f = create();
    f.fit(y);
    f.update(Number.NaN);
    for (const p of f.forecast(30)) expect(Number.isFinite(p.median + p.low + p.high)).toBe(true);
    for (const nothing of [[], [Number.NaN, Number.NaN], new Array<number>(50).fill(Number.NaN)]) {
      f.fit(nothing);
      expect(f.forecast(3)).toEqual([]);
    }
  });

  it('gives low ≤ median ≤ high, as many as asked for, and nothing negative of what never was', () => {
    const f = create();
    f.fit(series(400).map((v) => Math.max(0, v - 45)));
    const path = f.forecast(60);
    expect(path).toHaveLength(60);
    for (const p of path) {
      expect(p.low).toBeLessThanOrEqual(p.median);
      expect(p.median).toBeLessThanOrEqual(p.high);
      expect(p.low).toBeGreaterThanOrEqual(0);
    }
  });

  it('has finite answers at every length, of what repeats exactly, and of what is tiny or huge', () => {
    const exact = Array.from({ length: 200 }, (__, t) => 20 + (t % 24));
    for (const scale of [1, 1e-12, 1e12, -1]) {
      for (let n = 0; n <= exact.length; n += 7) {
        const f = create();
        f.fit(exact.slice(0, n).map((v) => v * scale));
        for (const p of f.forecast(24)) expect(Number.isFinite(p.median + p.low + p.high)).toBe(true);
      }
    }
  });

  it('a constant goes on, and a step is followed to its new level', () => {
    const f = create();
    f.fit(new Array<number>(400).fill(5));
    for (const p of f.forecast(10)) expect(p.median).toBeCloseTo(5, 9);
    f.fit(Array.from({ length: 600 }, (__, t) => (t < 400 ? 10 : 30)));
    for (const p of f.forecast(10)) expect(Math.abs(p.median - 30)).toBeLessThan(2);
  });

  it('sees nothing of the future: the forecast from a prefix is that of a series that ends there', () => {
    const y = series(500);
    const short = create();
    short.fit(y.slice(0, 450));
    const said = short.forecast(12);
    const other = create();
    other.fit([...y.slice(0, 450)]);
    expect(other.forecast(12)).toEqual(said);
    // And updating with what comes changes only what is said after it.
    short.update(y[450]!);
    expect(other.forecast(12)).toEqual(said);
  });

  it('forecasting changes nothing', () => {
    const f = create();
    f.fit(series(400));
    const first = f.forecast(20);
    f.forecast(3);
    expect(f.forecast(20)).toEqual(first);
  });

  it('goes on after save and restore as if nothing had happened, through JSON', () => {
    const y = series(700).map((v, i) => (i % 29 === 5 ? Number.NaN : v));
    const f = create();
    f.fit(y.slice(0, 600));
    for (const v of y.slice(600, 607)) f.update(v);
    const copy = create(JSON.parse(JSON.stringify(f.save())));
    expect(copy.forecast(48)).toEqual(f.forecast(48));
    for (const v of y.slice(607, 680)) {
      f.update(v);
      copy.update(v);
    }
    expect(copy.forecast(48)).toEqual(f.forecast(48));
    expect(copy.save()).toEqual(f.save());
  });

  it('keeps a bounded state, however long it runs', () => {
    const f = create();
    for (const v of series(1500)) f.update(v);
    const { values, gaps } = f.save();
    expect(values.length).toBeLessThanOrEqual(HOURLY.maxHistory + HOURLY.refitAfter);
    // Eight bytes a value and one a mark.
    expect(9 * values.length + 8 * gaps.length).toBeLessThan(8192);
  });
});
