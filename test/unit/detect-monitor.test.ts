import { describe, expect, test } from 'vitest';
import { explain, severityOf } from '../../agent/core/detect/anomaly.ts';
import { matters } from '../../agent/core/detect/effect.ts';
import { CONFIRM_POINTS, LevelShift } from '../../agent/core/detect/level-shift.ts';
import { type Finding, SeriesMonitor } from '../../agent/core/detect/monitor.ts';
import { STANDING_SET } from '../../agent/core/detect/standing-set.ts';
import { SurpriseDetector } from '../../agent/core/detect/surprise.ts';
import { seeded } from '../bench/detect/blind.ts';

const MINUTE_MS = 60_000;

/** Reproducible noise in [−1, 1], the same for the same `i`. */
function noise(i: number): number {
  return 2 * seeded(i)() - 1;
}

const SEASON_POINTS = 10 * 1440;

/** What a monitor knows after ten days of about 100 ± 3, a point a minute. */
const season = (() => {
  const monitor = new SeriesMonitor('responseTime');
  for (let i = 0; i < SEASON_POINTS; i++) monitor.observe(100 + 3 * noise(i), i * MINUTE_MS);
  return monitor.save();
})();

function seasoned(): { monitor: SeriesMonitor; nowMs: number } {
  const monitor = new SeriesMonitor('responseTime');
  monitor.restore(season);
  return { monitor, nowMs: SEASON_POINTS * MINUTE_MS };
}

function anomaliesOf(findings: readonly Finding[]) {
  return findings.flatMap((finding) => (finding.kind === 'anomaly' ? [finding.anomaly] : []));
}

describe('series monitor', () => {
  test('a value far outside is one anomaly, explained', () => {
    const { monitor, nowMs } = seasoned();
    const [anomaly, ...more] = anomaliesOf(monitor.observe(400, nowMs));
    expect(more).toEqual([]);
    expect(anomaly).toMatchObject({ metric: 'responseTime', kind: 'value', value: 400, atMs: nowMs });
    expect(anomaly!.expectedRange.low).toBeLessThan(100);
    expect(anomaly!.expectedRange.high).toBeGreaterThan(103);
    expect(anomaly!.expectedRange.high).toBeLessThan(400);
    expect(anomaly!.surprise).toBeGreaterThan(anomaly!.bar);
    expect(anomaly!.explanation).toContain('responseTime is 400, above the expected');
    expect(['high', 'critical']).toContain(anomaly!.severity);
  });

  test('ten minutes after it was first seen, twice as much is not told yet, and twelve times as much is', () => {
    const told = (factor: number) => {
      const monitor = new SeriesMonitor('latency');
      const values = Array.from({ length: 130 }, (_, i) => 30 * (i < 120 ? 1 : factor) * Math.exp(0.08 * noise(i)));
      return values.flatMap((value, i) => monitor.observe(value, i * 5_000).map(({ kind }) => kind));
    };
    expect(told(2)).toEqual([]);
    expect(told(12)).toEqual(['anomaly']);
  });

  test('a lasting shift is alerted once, resolved when it is the new normal, and not alerted again', () => {
    const { monitor, nowMs } = seasoned();
    const findings: Finding[] = [];
    for (let i = 0; i < 4000; i++) findings.push(...monitor.observe(160 + 3 * noise(i), nowMs + i * MINUTE_MS));
    expect(anomaliesOf(findings).length).toBeLessThanOrEqual(2);
    expect(findings[0]!.kind).toBe('anomaly');
    expect(findings.at(-1)!.kind).toBe('resolved');
  });

  test('a tiny change of a quiet metric is rare but does not matter', () => {
    const monitor = new SeriesMonitor('memory');
    const findings: Finding[] = [];
    for (let i = 0; i < 14_400; i++) findings.push(...monitor.observe(1000, i * MINUTE_MS));
    findings.push(...monitor.observe(1005, 14_400 * MINUTE_MS));
    expect(findings).toEqual([]);
    expect(anomaliesOf(monitor.observe(1050, 14_401 * MINUTE_MS)).length).toBe(1);
  });

  test('after a restart there is an annotation instead of an alert', () => {
    const { monitor, nowMs } = seasoned();
    monitor.excuse({ kind: 'restart' }, nowMs);
    const findings = monitor.observe(0, nowMs + MINUTE_MS);
    expect(anomaliesOf(findings)).toEqual([]);
    expect(findings).toMatchObject([{ kind: 'annotation' }]);
    expect(findings[0]).toHaveProperty('text', expect.stringContaining('the process restarted'));
  });

  test("the tuner's own change is annotated with what it changed", () => {
    const { monitor, nowMs } = seasoned();
    monitor.excuse({ kind: 'own_change', what: 'maxBatch from 8 to 16' }, nowMs, nowMs + 5 * MINUTE_MS);
    const findings = monitor.observe(300, nowMs + MINUTE_MS);
    expect(findings).toMatchObject([{ kind: 'annotation' }]);
    expect(findings[0]).toHaveProperty('text', expect.stringContaining('the tuner changed maxBatch from 8 to 16'));
  });

  test('a value from before the newest of two commands is explained by the one before', () => {
    const { monitor, nowMs } = seasoned();
    monitor.excuse({ kind: 'own_change', what: 'maxBatch to 16' }, nowMs, nowMs + 5 * MINUTE_MS);
    monitor.excuse({ kind: 'own_change', what: 'maxBatch to 8' }, nowMs + 2 * MINUTE_MS, nowMs + 7 * MINUTE_MS);
    expect(monitor.observe(300, nowMs + MINUTE_MS)).toMatchObject([{ kind: 'annotation' }]);
  });

  test('outside the excused time the same value is an anomaly', () => {
    const { monitor, nowMs } = seasoned();
    monitor.excuse({ kind: 'deploy' }, nowMs, nowMs + 5 * MINUTE_MS);
    expect(anomaliesOf(monitor.observe(300, nowMs + 6 * MINUTE_MS)).length).toBe(1);
  });

  test('an acknowledged anomaly may get worse in silence; the next one speaks', () => {
    const { monitor, nowMs } = seasoned();
    const reported = (one: SeriesMonitor) => {
      const findings: Finding[] = [];
      for (let i = 1; i < 20; i++) findings.push(...one.observe(i < 5 ? 125 : 1e9, nowMs + i * MINUTE_MS));
      return anomaliesOf(findings).length;
    };
    const unseen = seasoned().monitor;
    unseen.observe(125, nowMs);
    expect(reported(unseen)).toBeGreaterThan(0);
    expect(anomaliesOf(monitor.observe(125, nowMs)).length).toBe(1);
    monitor.acknowledge();
    expect(reported(monitor)).toBe(0);
    for (let i = 20; i < 6000; i++) monitor.observe(100 + 3 * noise(i), nowMs + i * MINUTE_MS);
    expect(anomaliesOf(monitor.observe(1e30, nowMs + 6000 * MINUTE_MS)).length).toBe(1);
  });

  test('silence of the source is an anomaly of its own, once, and resolved by the next value', () => {
    const { monitor, nowMs } = seasoned();
    expect(monitor.tick(nowMs + 3 * MINUTE_MS)).toEqual([]);
    const [missing] = anomaliesOf(monitor.tick(nowMs + 10 * MINUTE_MS));
    expect(missing).toMatchObject({ kind: 'missing', sinceMs: nowMs - MINUTE_MS, channel: 'missing data' });
    expect(monitor.tick(nowMs + 11 * MINUTE_MS)).toEqual([]);
    expect(monitor.observe(100, nowMs + 12 * MINUTE_MS)).toMatchObject([{ kind: 'resolved' }]);
  });

  test('a source with long pauses of its own is given time', () => {
    const monitor = new SeriesMonitor('batchJob');
    let atMs = 0;
    for (let i = 0; i < 400; i++) {
      atMs += i % 20 === 19 ? 60 * MINUTE_MS : MINUTE_MS;
      monitor.observe(5 + noise(i), atMs);
    }
    expect(monitor.tick(atMs + 90 * MINUTE_MS)).toEqual([]);
    expect(anomaliesOf(monitor.tick(atMs + 24 * 60 * MINUTE_MS)).length).toBe(1);
  });

  test('values from the past and values that are none change nothing', () => {
    const { monitor, nowMs } = seasoned();
    const before = monitor.save();
    expect(monitor.observe(5000, nowMs - 5 * MINUTE_MS)).toEqual([]);
    expect(monitor.observe(Number.NaN, nowMs)).toEqual([]);
    expect(monitor.save()).toEqual(before);
  });

  test('restored from JSON it finds the same', () => {
    const { monitor, nowMs } = seasoned();
    const restored = new SeriesMonitor('responseTime');
    restored.restore(JSON.parse(JSON.stringify(monitor.save())));
    const continued = (one: SeriesMonitor) =>
      Array.from({ length: 600 }, (_, i) =>
        one.observe(i % 200 === 50 ? 300 : 100 + 3 * noise(i), nowMs + i * MINUTE_MS),
      );
    expect(continued(restored)).toEqual(continued(monitor));
  });

  test('a state of another set of views is refused', () => {
    const { monitor } = seasoned();
    const saved = monitor.save();
    const foreign = { ...saved, detector: { ...saved.detector, set: 'standing-0' } };
    expect(() => new SeriesMonitor('x').restore(foreign)).toThrow(/start afresh/);
  });

  test('all its state is at most two kilobytes', () => {
    expect(new SeriesMonitor('x').stateBytes).toBeLessThanOrEqual(2048);
  });
});

describe('parts', () => {
  test('an explanation claims no more than was counted', () => {
    const range = { low: 90, high: 110 };
    expect(explain('cpu', 140, range, 'level', 3, 5000)).toBe(
      'cpu is 140, above the expected 90 to 110 (level: about one in 1000 points)',
    );
    expect(explain('cpu', 40, range, 'level', 9, 4321.4)).toBe(
      'cpu is 40, below the expected 90 to 110 (level: nothing like it in 4321 points)',
    );
    expect(explain('cpu', 100, range, 'roughness', 2, 5000)).toContain('in an unusual pattern within 90 to 110');
  });

  test('minimum effect: both the absolute and the relative part must be met', () => {
    const minimum = { absolute: 2, relative: 0.01 };
    expect(matters(201, 200, 0.5, minimum)).toBe(false);
    expect(matters(203, 200, 0.5, minimum)).toBe(true);
    expect(matters(1, 0, 0.5, minimum)).toBe(false);
    expect(matters(200, 200, 5, minimum)).toBe(true);
  });

  test('severity grows with the excess and with the duration', () => {
    expect(severityOf(0, 0)).toBe('low');
    expect(severityOf(0, 90)).toBe('medium');
    expect(severityOf(1.5, 0)).toBe('medium');
    expect(severityOf(3, 0)).toBe('high');
    expect(severityOf(3.5, 90)).toBe('critical');
  });

  test('a level shift is confirmed after a run on one side, at the new level', () => {
    const shift = new LevelShift();
    for (let i = 0; i < 500; i++) expect(shift.learn(100, 100, 3)).toBeUndefined();
    const confirmed = [];
    for (let i = 0; i < CONFIRM_POINTS + 60; i++) confirmed.push(shift.learn(130, 100, 3));
    const at = confirmed.findIndex((level) => level !== undefined);
    expect(at).toBeGreaterThanOrEqual(CONFIRM_POINTS - 1);
    expect(confirmed[at]).toBeCloseTo(130, 0);
  });

  test('the detector moves to a level that stays, long before its means would have followed', () => {
    const detector = new SurpriseDetector(STANDING_SET);
    const shift = new LevelShift();
    const confirmed: number[] = [];
    for (let i = 0; i < 3_400; i++) {
      const value = (i < 3_000 ? 100 : 130) + 6 * noise(i);
      const { level, usualDistance } = detector.level;
      const to = shift.learn(value, level, usualDistance);
      detector.learn(value, i * 60_000);
      if (to === undefined) continue;
      confirmed.push(i);
      detector.rebaseline(to);
    }
    expect(confirmed).toHaveLength(1);
    expect(confirmed[0]).toBeLessThan(3_150);
    expect(Math.abs(detector.level.level - 130)).toBeLessThan(2);
  });

  test('a level that swings to both sides is no shift, once its swings are known', () => {
    const detector = new SurpriseDetector(STANDING_SET);
    const shift = new LevelShift();
    const confirmed: number[] = [];
    for (let i = 0; i < 8_000; i++) {
      const value = Math.floor(i / 200) % 2 === 0 ? 110 : 90;
      const { level, usualDistance } = detector.level;
      if (shift.learn(value, level, usualDistance) !== undefined) confirmed.push(i);
      detector.learn(value, i * 60_000);
    }
    expect(confirmed.filter((at) => at >= 2_000)).toEqual([]);
  });
});
