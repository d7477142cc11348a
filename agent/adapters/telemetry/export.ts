import { randomUUID } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Histogram, ValueType } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { exporterNotices } from './notices.ts';
import type { Readings, TelemetryOptions } from './telemetry.ts';

export interface Export {
  recordStep(durationMs: number): void;
  /** Sends what there is and stops. */
  shutdown(): Promise<void>;
}

type LoopDelay = ReturnType<typeof monitorEventLoopDelay>;

/** Seconds. A step is well below a millisecond; what is above ten is worth seeing in detail. */
const STEP_BOUNDS_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const NS_PER_S = 1e9;

/** Begins to export. In a file of its own, so that the SDK is loaded only where an endpoint is set. */
export function startExport(endpoint: string, options: TelemetryOptions): Export {
  const loopDelay = monitorEventLoopDelay({ resolution: 10 });
  loopDelay.enable();
  const provider = meterProvider(endpoint, options);
  const steps = instruments(provider, options.readings, loopDelay);
  return {
    recordStep: (durationMs) => steps.record(durationMs / 1000),
    async shutdown() {
      try {
        await provider.shutdown();
      } finally {
        loopDelay.disable();
      }
    },
  };
}

function meterProvider(endpoint: string, { intervalMs, serviceVersion, log }: TelemetryOptions): MeterProvider {
  return new MeterProvider({
    resource: resourceFromAttributes({
      'service.name': 'performance-optimizer',
      'service.version': serviceVersion,
      'service.instance.id': randomUUID(),
      'process.pid': process.pid,
    }),
    readers: [
      new PeriodicExportingMetricReader({
        exporter: exporterNotices(new OTLPMetricExporter({ url: endpoint }), log),
        exportIntervalMillis: intervalMs,
        exportTimeoutMillis: Math.min(intervalMs, 10_000),
      }),
    ],
  });
}

/** Registers every instrument; returns the one that is recorded as things happen. */
function instruments(provider: MeterProvider, readings: () => Readings, loopDelay: LoopDelay): Histogram {
  const meter = provider.getMeter('performance-optimizer');
  const name = (suffix: string): string => `performance_optimizer.${suffix}`;
  const whole = { valueType: ValueType.INT };

  const accepted = meter.createObservableCounter(name('points.accepted'), {
    ...whole,
    unit: '{point}',
    description: 'Data points taken in.',
  });
  const rejected = meter.createObservableCounter(name('points.rejected'), {
    ...whole,
    unit: '{point}',
    description: 'Data points refused; the sender was told.',
  });
  const dropped = meter.createObservableCounter(name('points.dropped'), {
    ...whole,
    unit: '{point}',
    description: 'Data points taken in and not used.',
  });
  const decisions = meter.createObservableCounter(name('decisions'), {
    ...whole,
    unit: '{decision}',
    description: 'Decisions by kind: trials, promotions, rollbacks and the rest.',
  });
  const clockSteps = meter.createObservableCounter(name('clock.steps'), {
    ...whole,
    unit: '{step}',
    description: 'Jumps of the system clock by more than a second.',
  });
  const auditRuns = meter.createObservableCounter(name('audit.runs'), {
    unit: '{run}',
    description: 'Times that an incumbent was compared with itself.',
  });
  const falseAccepts = meter.createObservableCounter(name('audit.false_accepts'), {
    unit: '{run}',
    description: 'Of these, those that found a difference.',
  });
  const falseAcceptRatio = meter.createObservableGauge(name('audit.false_accept.ratio'), {
    unit: '1',
    description: 'Ends of the 95 % interval of the rate of false accepts.',
  });
  const level = (suffix: string, unit: string, description: string) =>
    meter.createObservableGauge(name(suffix), { ...whole, unit, description });
  const inbox = level('inbox.depth', '{input}', 'Inputs that wait for the engine.');
  const sessions = level('sessions', '{session}', 'Open control sessions.');
  const components = level('components', '{component}', 'Components known.');
  const series = level('series', '{series}', 'Metric series kept.');
  const found = meter.createObservableCounter(name('insights'), {
    ...whole,
    unit: '{insight}',
    description: 'Anomalies, patterns and forecast breaches found, by kind.',
  });
  const refused = meter.createObservableCounter(name('insight.series.refused'), {
    ...whole,
    unit: '{series}',
    description: 'Series that are not watched, for want of room.',
  });
  const open = level('anomalies.open', '{anomaly}', 'Anomalies that are not over.');
  const paused = level('components.paused', '{component}', 'Components not tuned because of an anomaly.');
  const watched = level('insight.series', '{series}', 'Series watched for anomalies and patterns.');
  const memory = meter.createObservableUpDownCounter('process.memory.usage', {
    ...whole,
    unit: 'By',
    description: 'Resident memory of the agent.',
  });
  const cpu = meter.createObservableCounter('process.cpu.time', { unit: 's', description: 'CPU time of the agent.' });
  const delays = (['p50', 'p99', 'max'] as const).map((quantile) => ({
    quantile,
    gauge: meter.createObservableGauge(`nodejs.eventloop.delay.${quantile}`, {
      unit: 's',
      description: 'Event loop delay since the last export: a stalled loop stalls control.',
    }),
  }));

  const observed = [
    accepted,
    rejected,
    dropped,
    decisions,
    clockSteps,
    auditRuns,
    falseAccepts,
    falseAcceptRatio,
    inbox,
    sessions,
    components,
    series,
    found,
    refused,
    open,
    paused,
    watched,
    memory,
    cpu,
  ];
  meter.addBatchObservableCallback(
    (result) => {
      const now = readings();
      result.observe(accepted, now.pointsAccepted);
      for (const [reason, count] of Object.entries(now.pointsRejected)) result.observe(rejected, count, { reason });
      for (const [reason, count] of Object.entries(now.pointsDropped)) result.observe(dropped, count, { reason });
      for (const [kind, count] of Object.entries(now.decisions)) result.observe(decisions, count, { kind });
      result.observe(clockSteps, now.clockSteps);
      for (const [component, { runs, accepts, low, high }] of Object.entries(now.audits)) {
        result.observe(auditRuns, runs, { component });
        result.observe(falseAccepts, accepts, { component });
        result.observe(falseAcceptRatio, low, { component, end: 'low' });
        result.observe(falseAcceptRatio, high, { component, end: 'high' });
      }
      result.observe(inbox, now.inboxDepth);
      result.observe(sessions, now.sessions);
      result.observe(components, now.components);
      result.observe(series, now.series);
      for (const [kind, count] of Object.entries(now.insights.found)) result.observe(found, count, { kind });
      result.observe(refused, now.insights.refusedSeries);
      result.observe(open, now.insights.openAnomalies);
      result.observe(paused, now.insights.paused);
      result.observe(watched, now.insights.series);
      result.observe(memory, process.memoryUsage.rss());
      const { user, system } = process.cpuUsage();
      result.observe(cpu, user / 1e6, { 'cpu.mode': 'user' });
      result.observe(cpu, system / 1e6, { 'cpu.mode': 'system' });
      for (const { quantile, gauge } of delays) {
        const ns = quantile === 'max' ? loopDelay.max : loopDelay.percentile(quantile === 'p50' ? 50 : 99);
        result.observe(gauge, ns / NS_PER_S);
      }
      loopDelay.reset();
    },
    [...observed, ...delays.map(({ gauge }) => gauge)],
  );

  return meter.createHistogram(name('step.duration'), {
    unit: 's',
    description: 'Time that the engine takes for one step.',
    advice: { explicitBucketBoundaries: STEP_BOUNDS_S },
  });
}
