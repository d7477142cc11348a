import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { engineSettings, healthThresholds, logLevel } from '../../agent/config/engine.ts';
import { parseConfig } from '../../agent/config/load.ts';
import { keysOf } from '../../agent/config/outline.ts';
import { resourceSettings } from '../../agent/config/resource-settings.ts';
import { type Config, configSchema } from '../../agent/config/schema.ts';
import { performanceScore } from '../../agent/core/analytics/performance.ts';
import { healthOf } from '../../agent/core/health.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import type { ResourceUsage } from '../../agent/core/profile/resource_window.ts';
import { bottlenecksOf } from '../../agent/core/resources/bottleneck.ts';
import { ResourceManager } from '../../agent/core/resources.ts';
import { Loop } from './engine_loop.ts';
import { InsightPlant } from './insight_plant.ts';

/*
 * Each key of the design document's configuration changes something that can be seen. The table names, for each, two values
 * and what is looked at, and the test expects to see two different things. A key that is not in the table fails.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

type Look = (config: Config) => unknown;
/** Two values of the key and what to look at, or the test that shows its effect over real files and sockets. */
type Row = readonly [one: unknown, other: unknown, look: Look] | { readonly elsewhere: string };

/** An engine under these settings, with a component whose latency falls with its batch. */
function loop(config: Config, seconds: number): Loop {
  const { window: _, ...settings } = engineSettings(config);
  const made = new Loop({ settings, latencyS: ({ batch = 1 }) => 0.1 / Math.sqrt(batch) }).open();
  made.run(seconds);
  return made;
}

const mode: Look = (config) => loop(config, 1).engine.view('c')?.tuning?.knobs[0]?.mode;
const isEverTried: Look = (config) => loop(config, 900).decisions.some(({ kind }) => kind === 'trial_started');
const span: Look = (config) => loop(config, 30).engine.view('c')?.profile?.windowMs;

/** Two hours of a component whose memory grows, and which is suddenly slow. */
function insights(config: Config): InsightPlant {
  const { analytics } = engineSettings(config);
  const plant = new InsightPlant({ reportMs: MINUTE_MS, analytics: { ...analytics, falseAlertsPerDay: 100 } });
  const load = (latencyMs: number, memoryMiB: number) => ({
    latencyMs: latencyMs * plant.noise(),
    perSecond: 100,
    memoryMiB,
  });
  let memoryMiB = 500;
  plant.run(8 * HOUR_MS, () => {
    memoryMiB += 2;
    return load(50, memoryMiB);
  });
  plant.run(10 * MINUTE_MS, () => load(4_000, memoryMiB));
  return plant;
}

const forecast: Look = (config) => {
  const { store, nowMs } = insights(config);
  return store.forecast('c', 'memoryMiB', nowMs, HOUR_MS) !== undefined;
};
const patterns: Look = (config) => insights(config).store.patterns('c').length > 0;
const anomalies: Look = (config) => insights(config).store.anomalies('c').length > 0;
const everything: Look = (config) => [forecast, patterns, anomalies].map((look) => look(config));

function usage(ratio: number): ResourceUsage {
  return { usage: ratio * 100, average: 1, peak: 1, scope: 'container', utilizationRatio: ratio, capacity: 100 };
}

function profile(fields: Partial<PerformanceProfile>): PerformanceProfile {
  return {
    ...{ component: 'c', atMs: 0, windowMs: 1, metrics: {}, resources: {} },
    optimization: { lastOptimized: 0, optimizations: 0 },
    ...fields,
  };
}

/** Health at response times within and around the bands. */
const bands: Look = (config) =>
  [5, 15, 40, 120, 700, 5_000].map((ms) => {
    const responseTime = { current: ms, average: ms, p95: ms, p99: ms, count: 1 };
    return healthOf(profile({ metrics: { responseTime } }), healthThresholds(config));
  });
/** The performance score, and what is short, at some throughput while requests wait. */
const traffic: Look = (config) =>
  [5, 50, 500, 5_000].map((perSecond) => {
    const throughput = { current: perSecond, average: perSecond, peak: perSecond };
    const queueDepth = { current: 3, average: 3, peak: 3, measuredAtMs: 0 };
    const measured = profile({ metrics: { throughput, queueDepth } });
    const thresholds = healthThresholds(config);
    return [performanceScore(measured, thresholds), bottlenecksOf('c', measured, { thresholds, pressureRatio: 1 })];
  });
/** Health, what is short, and what may be given out. */
const scarcity =
  (resource: 'cpu' | 'memory' | 'gpu'): Look =>
  (config) => {
    const thresholds = healthThresholds(config);
    const measured = profile({ resources: { [resource]: usage(0.75) } });
    const manager = new ResourceManager(resourceSettings(config, thresholds), {
      nowMs: () => 0,
      machine: () => measured,
      components: () => [{ component: 'c', tier: 'stable', profile: measured }],
      forecastHigh: () => undefined,
    });
    return [healthOf(measured, thresholds), manager.bottlenecks().length, manager.allocate().pools[0]?.capacity];
  };

const TABLE: Readonly<Record<string, Row>> = {
  'monitoring.enabled': [true, false, mode],
  'monitoring.interval': [5_000, 1_000, span],
  'monitoring.windowSize': [100, 20, span],
  'monitoring.dataRetention': { elsewhere: 'test/unit/history_store.test.ts' },
  'monitoring.debugMetrics': { elsewhere: 'test/wire/telemetry.test.ts' },
  'optimization.enabled': [true, false, mode],
  'optimization.aggressiveness': [0.5, 0, isEverTried],
  'optimization.learningRate': { elsewhere: 'test/unit/rules.test.ts' },
  'optimization.adaptationThreshold': { elsewhere: 'test/unit/optimizer_strategies.test.ts' },
  'optimization.rollbackEnabled': [true, false, mode],
  'analytics.enabled': [true, false, everything],
  'analytics.predictiveAnalysis': [true, false, forecast],
  'analytics.patternRecognition': [true, false, patterns],
  'analytics.anomalyDetection': [true, false, anomalies],
  debug: [false, true, logLevel],
  'thresholds.responseTime.excellent': [10, 20, bands],
  'thresholds.responseTime.good': [50, 100, bands],
  'thresholds.responseTime.acceptable': [200, 500, bands],
  'thresholds.responseTime.poor': [1_000, 2_000, bands],
  'thresholds.throughput.minimum': [10, 3, traffic],
  'thresholds.throughput.target': [100, 60, traffic],
  'thresholds.throughput.maximum': [1_000, 10_000, traffic],
  'thresholds.resourceUsage.cpu': [80, 70, scarcity('cpu')],
  'thresholds.resourceUsage.memory': [85, 70, scarcity('memory')],
  'thresholds.resourceUsage.gpu': [90, 70, scarcity('gpu')],
};

/** Keys of ours in the document's sections; their effects are in the tests of what they set. */
const OURS = ['analytics.falseAlertsPerDay', 'analytics.freezeAt', 'analytics.capacityReport', 'analytics.maxSeries'];

function leaves(schema: Parameters<typeof keysOf>[0], path: string): readonly string[] {
  const keys = keysOf(schema);
  return keys.length === 0
    ? [path]
    : keys.flatMap(([key, child]) => leaves(child, path === '' ? key : `${path}.${key}`));
}

test('the table has every key of the design document’s sections', () => {
  const sections = /^(?:monitoring|optimization|analytics|thresholds)\.|^debug$/;
  const keys = leaves(configSchema, '').filter((path) => sections.test(path) && !OURS.includes(path));
  expect(keys.toSorted()).toEqual(Object.keys(TABLE).toSorted());
});

function configured(path: string, value: unknown): Config {
  const nested = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
  const loaded = parseConfig(JSON.stringify(nested), {});
  if (!loaded.ok) throw new Error(loaded.message);
  return loaded.config;
}

test.each(Object.entries(TABLE))('%s has an effect', (path, row) => {
  if ('elsewhere' in row) {
    const key = path.split('.').at(-1) ?? '';
    expect(readFileSync(row.elsewhere, 'utf8').toLowerCase()).toContain(key.replace(/^data/, '').toLowerCase());
    return;
  }
  const [one, other, look] = row;
  const [before, after] = [look(configured(path, one)), look(configured(path, other))];
  expect(before).toBeDefined();
  expect(after).not.toEqual(before);
});
