import { describe, expect, test } from 'vitest';
import type { Insight, ObservedAnomaly } from '../../agent/core/insight/finding.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { Loop } from './engine_loop.ts';
import { InsightPlant, type Load } from './insight_plant.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A generous budget needs little history before it means something: half an hour. */
const generous = { falseAlertsPerDay: 50 };

function steady(plant: InsightPlant, latencyMs = 50): Load {
  return { latencyMs: latencyMs * plant.noise(), perSecond: 100 * plant.noise(), memoryMiB: 1_000 * plant.noise() };
}

function kinds(insights: readonly Insight[]): readonly string[] {
  return insights.map(({ kind }) => kind);
}

function anomaliesOf(insights: readonly Insight[]): readonly ObservedAnomaly[] {
  return insights.flatMap((insight) => (insight.kind === 'anomaly_detected' ? [insight.anomaly] : []));
}

describe('anomalies', () => {
  test('an outage is told, with what was expected, lasts as long as it lasts, and is over when it is over', () => {
    const plant = new InsightPlant({ reportMs: 30_000 });
    expect(kinds(plant.run(12 * HOUR_MS, () => steady(plant)))).toEqual([]);
    const found = anomaliesOf(plant.run(10 * MINUTE_MS, () => steady(plant, 4_000)));
    const anomaly = found.find(({ metric }) => metric === 'responseTimeMs');
    expect(anomaly).toMatchObject({ component: 'c', state: 'open', kind: 'value', severity: 'critical' });
    expect(anomaly?.value).toBeGreaterThan(1_000);
    expect(anomaly?.expectedRange.high).toBeLessThan(500);
    expect(found.filter(({ metric }) => metric === 'responseTimeMs')).toHaveLength(1);
    expect(new Set(found.map(({ incident }) => incident?.id)).size).toBe(1);
    expect(plant.store.disturbance('c')).toBeDefined();
    expect(kinds(plant.run(HOUR_MS, () => steady(plant)))).toContain('anomaly_resolved');
    expect(plant.store.disturbance('c')).toBeUndefined();
    expect(plant.store.anomalies('c').find(({ id }) => id === anomaly?.id)).toMatchObject({
      state: 'resolved',
      endReason: 'back to ordinary',
    });
  });

  test('a new level is an anomaly until it is accepted, and then it is not', () => {
    const plant = new InsightPlant({ analytics: generous });
    plant.run(2 * HOUR_MS, () => steady(plant));
    expect(anomaliesOf(plant.run(5 * MINUTE_MS, () => steady(plant, 500)))).not.toEqual([]);
    plant.run(HOUR_MS, () => steady(plant, 500));
    expect(plant.store.disturbance('c')).toBeUndefined();
    const reasons = plant.store.anomalies('c').map(({ endReason }) => endReason ?? '');
    expect(reasons.some((reason) => /accepted|usual/.test(reason))).toBe(true);
  });

  test('a sender that falls silent is missed, and a latency without requests is not', () => {
    const plant = new InsightPlant({ analytics: generous });
    plant.run(HOUR_MS, () => steady(plant));
    const found = anomaliesOf(plant.run(10 * MINUTE_MS, () => undefined));
    expect(found.every(({ kind }) => kind === 'missing')).toBe(true);
    expect(found.map(({ metric }) => metric).toSorted()).toEqual(['memoryMiB', 'throughputPerSecond']);
    // Silence is told, but it is no reason to distrust what is measured once it is over.
    expect(plant.store.disturbance('c')).toBeUndefined();
    expect(kinds(plant.run(MINUTE_MS, () => steady(plant)))).toContain('anomaly_resolved');
  });

  test('a slow exporter gives one value a report, and not the same value twelve times', () => {
    const plant = new InsightPlant({ reportMs: MINUTE_MS, analytics: generous });
    plant.run(6 * HOUR_MS, () => steady(plant));
    const found = anomaliesOf(plant.run(5 * MINUTE_MS, () => steady(plant, 2_000)));
    expect(found.find(({ metric }) => metric === 'responseTimeMs')?.value).toBeGreaterThan(1_500);
    const saved = plant.store.save('c')?.signals.responseTimeMs?.monitor?.alert;
    expect(saved?.intervalMs).toBeCloseTo(MINUTE_MS, -2);
    expect(saved?.points).toBeLessThan(400);
  });

  test('an anomaly of a metric that nobody sends any more is given up after an hour', () => {
    const plant = new InsightPlant({ analytics: generous });
    plant.run(HOUR_MS, () => steady(plant));
    plant.run(MINUTE_MS, () => steady(plant, 4_000));
    expect(plant.store.disturbance('c')).toBeDefined();
    const found = plant.run(70 * MINUTE_MS, () => ({ memoryMiB: 1_000 * plant.noise() }));
    const ended = found.flatMap((insight) => (insight.kind === 'anomaly_resolved' ? [insight.anomaly] : []));
    expect(ended.find(({ metric }) => metric === 'responseTimeMs')?.endReason).toContain('for an hour');
    expect(plant.store.disturbance('c')).toBeUndefined();
  });

  test('what happens in a restart is explained, and told after all when it goes on', () => {
    const plant = new InsightPlant({ analytics: generous });
    plant.run(HOUR_MS, () => steady(plant));
    plant.store.excuse('c', { kind: 'restart' }, plant.nowMs, plant.nowMs + 10 * MINUTE_MS);
    expect(anomaliesOf(plant.run(9 * MINUTE_MS, () => steady(plant, 4_000)))).toEqual([]);
    const explained = plant.store.anomalies('c').find(({ state }) => state === 'explained');
    expect(explained?.metric).toMatch(/responseTime/);
    expect(explained?.endReason).toContain('restarted');
    expect(anomaliesOf(plant.run(5 * MINUTE_MS, () => steady(plant, 4_000)))).not.toEqual([]);
    expect(plant.store.disturbance('c')?.metric).toMatch(/responseTime/);
  });

  test('series beyond the limit are not watched, and counted', () => {
    const plant = new InsightPlant({ analytics: { maxSeries: 2 } });
    plant.run(10 * MINUTE_MS, () => steady(plant));
    expect(plant.store.counts).toMatchObject({ series: 2, refusedSeries: 3 });
  });

  test.each([
    ['anomalyDetection', { monitor: null }],
    ['patternRecognition', { watch: null }],
    ['predictiveAnalysis', {}],
  ] as const)('without %s the others go on', (key, missing) => {
    const plant = new InsightPlant({ analytics: { [key]: false } });
    plant.run(20 * MINUTE_MS, () => steady(plant));
    const saved = plant.store.save('c');
    const throughput = saved?.signals.throughputPerSecond;
    expect(throughput).toMatchObject(missing);
    expect(throughput?.monitor === null).toBe(key === 'anomalyDetection');
    expect(throughput?.watch === null).toBe(key === 'patternRecognition');
    expect(saved?.forecasts.throughputPerSecond === undefined).toBe(key === 'predictiveAnalysis');
  });

  test('what counts as bad enough to hold up tuning is a matter of configuration', () => {
    const disturbed = (freezeAt: 'never' | 'critical'): boolean => {
      const plant = new InsightPlant({ analytics: { ...generous, freezeAt } });
      plant.run(HOUR_MS, () => steady(plant));
      plant.run(2 * MINUTE_MS, () => steady(plant, 4_000));
      return plant.store.disturbance('c') !== undefined;
    };
    expect(disturbed('never')).toBe(false);
    expect(disturbed('critical')).toBe(true);
  });

  test('switched off, nothing is watched', () => {
    const off = { anomalyDetection: false, patternRecognition: false, predictiveAnalysis: false };
    const plant = new InsightPlant({ analytics: off });
    plant.run(HOUR_MS, () => steady(plant));
    expect(plant.store.components).toEqual([]);
  });
});

test('a restart of the agent changes no finding', () => {
  const run = (restarts: boolean): readonly Insight[] => {
    const plant = new InsightPlant({ analytics: generous, reportMs: 20_000 });
    const load = (atMs: number): Load => steady(plant, Math.floor(atMs / (40 * MINUTE_MS)) % 7 === 6 ? 800 : 50);
    for (let part = 0; part < 8; part++) {
      plant.run(HOUR_MS, load);
      if (restarts) plant.restart();
    }
    return plant.insights;
  };
  const straight = run(false);
  expect(straight.length).toBeGreaterThan(4);
  expect(run(true)).toEqual(straight);
});

describe('patterns and forecasts', () => {
  test('memory that grows for hours is a leak, with its limit and when it will be reached', () => {
    const plant = new InsightPlant({ reportMs: 30_000 });
    let hours = 0;
    plant.run(6 * HOUR_MS, () => steady(plant));
    const found = plant.run(17 * HOUR_MS, () => {
      hours += 30_000 / HOUR_MS;
      return { ...steady(plant), memoryMiB: (1_000 + 150 * hours) * (1 + 0.02 * plant.random.next()) };
    });
    const leak = found.find((insight) => insight.kind === 'pattern_detected' && insight.pattern.type === 'memory_leak');
    expect(leak).toMatchObject({ pattern: { component: 'c', metric: 'memoryMiB' } });
    const forecast = plant.store.forecast('c', 'memoryMiB', plant.nowMs, 12 * HOUR_MS);
    expect(forecast?.limit?.value).toBe(4_096);
    // 546 MiB are left of the way, at 150 an hour.
    expect(forecast?.timeToLimit?.expectedMs).toBeGreaterThan(2 * HOUR_MS);
    expect(forecast?.timeToLimit?.expectedMs).toBeLessThan(6 * HOUR_MS);
    expect(forecast?.low).toBeLessThanOrEqual(forecast?.value ?? 0);
    expect(kinds(found)).toContain('forecast_breach');
    const [memory] = plant.store.capacity('c', plant.nowMs, 48 * HOUR_MS)?.metrics.filter((m) => m.limit) ?? [];
    expect(memory).toMatchObject({ metric: 'memoryMiB', unit: 'MiB' });
  });

  test('a disk that fills up is told of with the time that is left, and holds no tuning up', () => {
    const plant = new InsightPlant({ reportMs: 30_000 });
    let hours = 0;
    const found = plant.run(21 * HOUR_MS, () => {
      hours += 30_000 / HOUR_MS;
      return { diskUsedRatio: 0.02 + 0.04 * hours + 0.002 * plant.random.next() };
    });
    const breach = found.find((insight) => insight.kind === 'forecast_breach');
    expect(breach).toMatchObject({ breach: { component: '@host', signal: 'diskUsedRatio', limit: { value: 1 } } });
    const forecast = plant.store.forecast('@host', 'diskUsedRatio', plant.nowMs, 12 * HOUR_MS);
    // 14 % are left, at 4 % an hour.
    expect(forecast?.timeToLimit?.expectedMs).toBeGreaterThan(2 * HOUR_MS);
    expect(forecast?.timeToLimit?.expectedMs).toBeLessThan(6 * HOUR_MS);
    const metrics = plant.store.capacity('@host', plant.nowMs, 48 * HOUR_MS)?.metrics ?? [];
    expect(metrics.map(({ metric }) => metric)).toContain('diskUsedRatio');
    plant.run(HOUR_MS, () => ({ diskUsedRatio: 0.1 }));
    expect(plant.store.disturbance('c')).toBeUndefined();
  });

  test('latency that follows load has a knee', () => {
    const plant = new InsightPlant();
    plant.run(8 * HOUR_MS, (atMs) => {
      const perSecond = 20 + 80 * Math.abs(Math.sin(atMs / (50 * MINUTE_MS)));
      const latencyMs = (50 + 20 * Math.max(0, perSecond - 60)) * plant.noise();
      return { latencyMs, perSecond };
    });
    const knee = plant.store.patterns('c').find(({ type }) => type === 'load_dependence');
    expect(knee).toMatchObject({ metric: 'responseTimeMs', cause: 'throughputPerSecond' });
    expect(knee?.evidence.kneeLoad).toBeGreaterThan(50);
    expect(knee?.evidence.kneeLoad).toBeLessThan(70);
  });
});

describe('the tuner and anomalies', () => {
  const settings = { analytics: { ...DEFAULT_ENGINE_SETTINGS.analytics, ...generous } };

  /** A loop whose latency can be spoiled from outside, after an hour of watching without a session. */
  function watched(): { readonly loop: Loop; spoil(factor: number): void } {
    let factor = 1;
    const loop = new Loop({ settings, latencyS: () => 0.05 * factor });
    loop.run(3_600);
    return {
      loop,
      spoil: (by) => {
        factor = by;
      },
    };
  }

  test('nothing is tried while a bad anomaly is open, and the decisions say why and until when', () => {
    const { loop, spoil } = watched();
    spoil(40);
    loop.run(60);
    loop.open();
    const paused = loop.run(600, ({ kind }) => kind === 'paused');
    expect(paused?.reason).toMatch(/responseTimeMs.*above the expected/);
    loop.run(300);
    expect(loop.kinds()).not.toContain('trial_started');
    expect(loop.engine.view('c')?.paused).toContain('responseTimeMs');
    spoil(1);
    expect(loop.run(1_800, ({ kind }) => kind === 'resumed')).toBeDefined();
    // The incumbent was measured while it waited: a trial may begin in the very step that ends the pause.
    loop.run(600);
    expect(loop.kinds().slice(loop.kinds().indexOf('resumed'))).toContain('trial_started');
    expect(loop.events.map(({ type }) => type)).toContain('anomaly_resolved');
  });

  test('a process that connects while an anomaly is open is told by a decision as well', () => {
    const { loop, spoil } = watched();
    loop.open();
    loop.perform(loop.engine.step(loop.nowMs, { kind: 'session', event: 'closed', component: 'c', reason: 'gone' }));
    spoil(40);
    loop.run(120);
    expect(loop.kinds()).not.toContain('paused');
    loop.open();
    expect(loop.run(5, ({ kind }) => kind === 'paused')).toBeDefined();
  });

  test('silence lets tuning go on, is remembered over a restart, and can be lifted', () => {
    const { loop, spoil } = watched();
    expect(loop.operator({ action: 'silence', component: 'x', forMs: 1 })).toMatchObject({ ok: false });
    expect(loop.operator({ action: 'silence', component: 'c', metric: 'latency', forMs: 1 }).message).toContain(
      'there are',
    );
    expect(loop.operator({ action: 'silence', component: 'c', forMs: 7_200_000 })).toMatchObject({ ok: true });
    spoil(40);
    loop.run(300);
    expect(loop.events.map(({ type }) => type)).not.toContain('anomaly_detected');
    expect(loop.engine.anomalies('c')).not.toEqual([]);
    expect(loop.engine.save().lookout?.silences).toHaveLength(1);
    loop.open();
    expect(loop.run(600, ({ kind }) => kind === 'trial_started')).toBeDefined();
    expect(loop.operator({ action: 'silence', component: 'c', forMs: 0 })).toMatchObject({ ok: true });
    expect(loop.engine.save().lookout).toBeUndefined();
    expect(loop.kinds()).toContain('silenced');
  });

  test('an acknowledged anomaly is marked, and only an open one can be', () => {
    const { loop, spoil } = watched();
    expect(loop.operator({ action: 'acknowledge', component: 'c', metric: 'responseTimeMs' })).toMatchObject({
      ok: false,
    });
    spoil(40);
    loop.run(300);
    expect(loop.operator({ action: 'acknowledge', component: 'c', metric: 'responseTimeMs' })).toMatchObject({
      ok: true,
    });
    expect(loop.engine.anomalies('c').find(({ metric }) => metric === 'responseTimeMs')).toMatchObject({
      acknowledgedBy: 'eve',
    });
    expect(loop.decisions.find(({ kind }) => kind === 'acknowledged')).toMatchObject({ by: 'eve', component: 'c' });
  });

  test("what follows the tuner's own change is noted and not alerted", () => {
    const loop = new Loop({ settings, latencyS: ({ batch = 1 }) => 0.05 / batch ** 2 });
    loop.run(3_600);
    loop.open();
    expect(loop.run(3_600, ({ kind }) => kind === 'promoted')).toBeDefined();
    expect(loop.kinds()).not.toContain('paused');
    expect(loop.events.map(({ type }) => type)).not.toContain('anomaly_detected');
    expect(
      loop.engine.anomalies('c').some(({ endReason }) => endReason?.includes('the tuner changed batch') === true),
    ).toBe(true);
  });
});
