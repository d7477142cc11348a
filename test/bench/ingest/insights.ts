import { createEngine } from '../../../agent/core/engine.ts';
import type { Series } from '../../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../../agent/core/series/batch.ts';
import { type AnalyticsSettings, DEFAULT_ENGINE_SETTINGS } from '../../../agent/core/settings.ts';
import { Random } from '../../../agent/core/tune/random.ts';
import { usedBytes } from '../tax/used_bytes.ts';

const START_MS = 1_700_000_000_000;
const REPORT_MS = 5_000;
const TICK_MS = 1_000;
const WARM_UP_MS = 2 * 3_600_000;
const MEASURED_MS = 3_600_000;
const COMPONENTS = 10;
const ROUNDS = 3;
const BOUNDS_S = Array.from({ length: 20 }, (_, i) => 0.001 * 1.6 ** i);

type Insights = Pick<AnalyticsSettings, 'anomalyDetection' | 'patternRecognition' | 'predictiveAnalysis'>;

const OFF: Insights = { anomalyDetection: false, patternRecognition: false, predictiveAnalysis: false };
const ALL: Insights = { anomalyDetection: true, patternRecognition: true, predictiveAnalysis: true };
const VARIANTS: Readonly<Record<string, Insights>> = {
  off: OFF,
  'anomalies only': { ...OFF, anomalyDetection: true },
  'anomalies and patterns': { ...OFF, anomalyDetection: true, patternRecognition: true },
  all: ALL,
};

/** Latency, requests in flight, processor and memory of one process: seven watched signals out of four series. */
function reporter(component: string, firstId: number): (nowMs: number, random: Random) => SampleBatchBuilder {
  const resource = new Map([['service.name', component]]);
  const series = (id: number, name: string, unit: string, kind: 'histogram' | 'gauge'): Series => ({
    ...{ id: firstId + id, name, unit, kind, temporality: 'delta', monotonic: false, scope: '' },
    ...{ resource, attributes: new Map() },
  });
  const latency = series(0, 'http.server.request.duration', 's', 'histogram');
  const inFlight = series(1, 'http.server.active_requests', '{request}', 'gauge');
  const cpu = series(2, 'process.cpu.utilization', '1', 'gauge');
  const memory = series(3, 'process.memory.usage', 'By', 'gauge');
  return (nowMs, random) => {
    const counts = BOUNDS_S.map((_, i) => Math.round(40 * random.next() * Math.exp(-((i - 8) ** 2) / 6)));
    const count = counts.reduce((a, b) => a + b, 0);
    const sum = counts.reduce((a, n, i) => a + n * BOUNDS_S[i]!, 0);
    const builder = new SampleBatchBuilder();
    const point = { count, sum, bounds: BOUNDS_S, counts: [...counts, 0] };
    builder.histogramOverMs(latency, nowMs - REPORT_MS, nowMs, point);
    builder.gaugeAtMs(inFlight, nowMs, Math.round(10 + 4 * random.next()));
    builder.gaugeAtMs(cpu, nowMs, 0.4 + 0.1 * random.next());
    builder.gaugeAtMs(memory, nowMs, 2e9 + 5e7 * random.next());
    return builder;
  };
}

function run(insights: Insights) {
  const settings = {
    ...DEFAULT_ENGINE_SETTINGS,
    analytics: { ...DEFAULT_ENGINE_SETTINGS.analytics, ...insights },
  };
  const engine = createEngine({ settings, seed: 1, epoch: 1 });
  const random = Random.seeded(1);
  const reports = Array.from({ length: COMPONENTS }, (_, i) => reporter(`c${i}`, 10 * i));
  let nowMs = START_MS;
  let points = 0;
  const pass = (forMs: number): void => {
    for (const endMs = nowMs + forMs; nowMs < endMs; ) {
      nowMs += TICK_MS;
      if (nowMs % REPORT_MS === 0) {
        for (const report of reports) {
          const batch = report(nowMs, random).build();
          points += batch.size;
          engine.step(nowMs, { kind: 'samples', batch });
        }
      }
      engine.step(nowMs, { kind: 'tick' });
    }
  };
  pass(WARM_UP_MS);
  points = 0;
  const since = process.cpuUsage();
  pass(MEASURED_MS);
  const { user, system } = process.cpuUsage(since);
  const bytes = usedBytes();
  // The engine is asked after the measurement: it is what is measured, so it must live until then.
  return { cpuMicros: user + system, points, bytes, series: engine.stats().insights.series };
}

/**
 * What insights cost on top of receiving: CPU time of the engine for an hour of ten components that report every five
 * seconds, with insights and without, and what they hold. Forecasts and patterns come by the hour and not by the point:
 * at fewer reports their share of a point is larger, so the processor's share is said too.
 */
export function benchInsights() {
  // The first run compiles; its figures are thrown away. Then by turns, so that what disturbs one disturbs all.
  run(ALL);
  const runs = new Map<string, ReturnType<typeof run>[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, insights] of Object.entries(VARIANTS)) {
      runs.set(name, [...(runs.get(name) ?? []), run(insights)]);
    }
  }
  const off = runs.get('off')!;
  return [...runs].map(([name, rounds]) => {
    const { points, series } = rounds[0]!;
    const values = (series * MEASURED_MS) / REPORT_MS;
    const cpuMicros = median(rounds.map((one) => one.cpuMicros));
    const more = median(rounds.map((one, round) => one.cpuMicros - off[round]!.cpuMicros));
    const moreBytes = median(rounds.map((one, round) => one.bytes - off[round]!.bytes));
    return {
      insights: name,
      points,
      watchedSeries: series,
      microsPerPoint: Number((cpuMicros / points).toFixed(2)),
      moreMicrosPerPoint: Number((more / points).toFixed(2)),
      moreMicrosPerWatchedValue: values === 0 ? 0 : Number((more / values).toFixed(2)),
      cpuShare: Number((cpuMicros / (MEASURED_MS * 1_000)).toFixed(5)),
      moreBytesPerWatchedSeries: series === 0 ? 0 : Math.round(moreBytes / series),
    };
  });
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
