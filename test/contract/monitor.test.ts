/** What everything promises that watches one metric from its values to what is said of it. A new watcher joins by one line. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_MINIMUM_EFFECT } from '../../agent/core/detect/effect.ts';
import { type Finding, type MonitorState, SeriesMonitor } from '../../agent/core/detect/monitor.ts';
import { noise } from '../bench/forecast/noise.ts';

const budget = (alertsPerDay: number) => () =>
  new SeriesMonitor('m', {
    policy: { kind: 'budget', alertsPerDay },
    minimumEffect: DEFAULT_MINIMUM_EFFECT,
  });
const MONITORS: Readonly<Record<string, () => SeriesMonitor>> = {
  'as shipped': () => new SeriesMonitor('m'),
  'one false alert in four days': budget(0.25),
  'four false alerts a day': budget(4),
};

const STEP_MS = 60_000;

interface Point {
  readonly value: number;
  readonly atMs: number;
}

/** Two days of something alive: waves, bursts that anybody would report, a new level, gaps of values and of time. */
function eventful(seed: number, count = 2_880): Point[] {
  const { normal } = noise(seed);
  let atMs = Date.UTC(2026, 10, 23);
  return Array.from({ length: count }, (_, i) => {
    atMs += i % 701 === 700 ? 90 * STEP_MS : STEP_MS;
    const burst = i % 640 > 628 ? 80 : 0;
    const level = i > (2 * count) / 3 ? 140 : 100;
    const value = i % 97 === 50 ? Number.NaN : level + 10 * Math.sin(i / 90) + burst + 3 * normal();
    return { value, atMs };
  });
}

/** As the agent does it: the value, then a look at the clock. */
function findings(monitor: SeriesMonitor, points: readonly Point[]): (readonly Finding[])[] {
  return points.map(({ value, atMs }) => [...monitor.observe(value, atMs), ...monitor.tick(atMs + STEP_MS)]);
}

const through = (state: MonitorState): MonitorState => JSON.parse(JSON.stringify(state));

describe.each(Object.entries(MONITORS))('monitor %s', (_, make) => {
  test('has something to say of these series, so that the promises below are about something', () => {
    const kinds = new Set(
      findings(make(), eventful(1))
        .flat()
        .map(({ kind }) => kind),
    );
    expect(kinds).toContain('anomaly');
    expect(kinds).toContain('resolved');
  });

  test('leaves its input alone and says the same twice', () => {
    const points = eventful(2).map((point) => Object.freeze(point));
    expect(findings(make(), points)).toEqual(findings(make(), points));
  });

  test('does not look ahead: what it says of a prefix is the prefix of what it says', () => {
    const points = eventful(3);
    const all = findings(make(), points);
    fc.assert(
      fc.property(fc.nat(points.length), (length) => {
        expect(findings(make(), points.slice(0, length))).toEqual(all.slice(0, length));
      }),
      { numRuns: 5 },
    );
  });

  test('saved and restored at any point, through JSON, it goes on as if nothing had happened', () => {
    const points = eventful(4);
    const all = findings(make(), points);
    fc.assert(
      fc.property(fc.nat(points.length), (at) => {
        const before = make();
        findings(before, points.slice(0, at));
        const after = make();
        after.restore(through(before.save()));
        expect(findings(after, points.slice(at))).toEqual(all.slice(at));
      }),
      { numRuns: 8 },
    );
  });

  test('values that are no numbers, and values from the past, change nothing', () => {
    const points = eventful(5);
    const disturbed = make();
    const said = points.map((point, i) => {
      const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY][i % 3]!;
      expect(disturbed.observe(odd, point.atMs)).toEqual([]);
      if (i > 0) expect(disturbed.observe(1e6, point.atMs - 365 * 1_440 * STEP_MS)).toEqual([]);
      return disturbed.observe(point.value, point.atMs);
    });
    const calm = make();
    expect(said).toEqual(points.map(({ value, atMs }) => calm.observe(value, atMs)));
  });

  test('points of equal time are taken in the order in which they come', () => {
    const pairs = eventful(6).flatMap((point) => [point, { ...point, value: point.value + 1 }]);
    expect(findings(make(), pairs)).toEqual(findings(make(), pairs));
  });

  test('nothing is said of a constant, however long, nor of one that was never anything else', () => {
    const flat = (value: number) => Array.from({ length: 3_000 }, (_, i) => ({ value, atMs: i * STEP_MS }));
    for (const value of [0, 7, -1e-9, 1e12]) expect(findings(make(), flat(value)).flat()).toEqual([]);
  });

  test('a step is said at once and hardly again, and the new level becomes usual', () => {
    const { normal } = noise(7);
    const stepped = Array.from({ length: 6_000 }, (_, i) => ({
      value: (i < 3_000 ? 100 : 160) + 2 * normal(),
      atMs: i * STEP_MS,
    }));
    const said = findings(make(), stepped);
    const alerts = (from: number, to: number) =>
      said
        .slice(from, to)
        .flat()
        .filter(({ kind }) => kind === 'anomaly').length;
    expect(alerts(3_000, 3_002)).toBe(1);
    // What chance alone may bring within its budget comes on top.
    expect(alerts(3_002, 3_600)).toBeLessThanOrEqual(1);
    expect(alerts(4_000, 6_000)).toBeLessThanOrEqual(6);
  });

  test('keeps its state within two kilobytes and a half, however long it runs', () => {
    const monitor = make();
    const before = monitor.stateBytes;
    findings(monitor, eventful(8, 10_000));
    expect(monitor.stateBytes).toBe(before);
    expect(before).toBeLessThanOrEqual(2_560);
    const { open, quiet, ...numbers } = monitor.save();
    expect(JSON.stringify({ open, quiet }).length).toBeLessThan(2_048);
    expect(8 * JSON.stringify(numbers).split(',').length).toBeLessThanOrEqual(4_096);
  });
});
