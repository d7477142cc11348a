/**
 * From the export in which a setting under trial shows too many errors (once the agent has acknowledged it) to the recorded value
 * in force at the process: a real agent, the official exporter, our client. One component after another, so that none of
 * them has a past.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { AggregationTemporalityPreference } from '@opentelemetry/exporter-metrics-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { connectTuner } from '../../../agent/client/typescript/tuner.ts';
import { AgentProcess } from '../../e2e/agent_process.ts';

const BOUNDS_S = Array.from({ length: 40 }, (_, i) => 0.001 * 1.2 ** i);
const NEVER_MS = 2 ** 31 - 1;
const REQUESTS = 40;
const AT_ONCE = 4;

export interface GuardrailReport {
  readonly rollbacks: number;
  readonly tickMs: number;
  /** Of which up to a tick is the wait for the engine's next. */
  readonly p50Ms: number;
  readonly maxMs: number;
  /** How much longer than one tick the slowest took; negative: shorter. */
  readonly beyondTickMs: number;
}

export async function measureGuardrail(rollbacks: number, tickMs: number): Promise<GuardrailReport> {
  const agent = new AgentProcess();
  const timesMs: number[] = [];
  try {
    await agent.start({
      tuning: { tick: tickMs, window: { min: 10 * tickMs, max: 20_000, minRequests: 50 } },
      control: { socket: agent.controlAddress.slice('unix:'.length), address: null },
      log: { level: 'info' },
    });
    // Trials of several components at a time, each waiting mostly for windows to fill.
    for (let i = 0; i < rollbacks; i += AT_ONCE) {
      const group = Array.from({ length: Math.min(AT_ONCE, rollbacks - i) }, (_, j) => `component-${i + j}`);
      timesMs.push(...(await Promise.all(group.map((component) => one(agent, component, 2.5 * tickMs)))));
    }
  } finally {
    await agent.dispose();
  }
  const sorted = timesMs.toSorted((a, b) => a - b);
  const rounded = (ms: number | undefined): number => Number((ms ?? Number.NaN).toFixed(2));
  return {
    rollbacks,
    tickMs,
    p50Ms: rounded(sorted[Math.floor(sorted.length / 2)]),
    maxMs: rounded(sorted.at(-1)),
    beyondTickMs: rounded((sorted.at(-1) ?? Number.NaN) - tickMs),
  };
}

/** `wellForMs`: how long the setting under trial does well, so that its window has begun. */
async function one(agent: AgentProcess, component: string, wellForMs: number): Promise<number> {
  const tuner = await connectTuner({ component, tier: 'research', address: agent.controlAddress });
  const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64, scale: 'log', role: 'batch' });
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': component }),
    readers: [
      // Exports when it is told to, and not by itself.
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({
          url: agent.otlpUrl,
          // The first point of a cumulative series has no beginning that it could be counted from.
          temporalityPreference: AggregationTemporalityPreference.DELTA,
        }),
        exportIntervalMillis: NEVER_MS,
        exportTimeoutMillis: 5_000,
      }),
    ],
  });
  const duration = provider.getMeter('guardrail').createHistogram('http.server.request.duration', {
    unit: 's',
    advice: { explicitBucketBoundaries: BOUNDS_S },
  });
  const work = (failing: boolean): void => {
    for (let i = 0; i < REQUESTS; i++)
      duration.record(0.02, { 'http.response.status_code': failing && i % 2 === 0 ? 503 : 200 });
  };
  let restored = (): void => {};
  let isTried = false;
  const tried = new Promise<void>((resolve) => {
    batch.onChange((value) => {
      if (value !== 8) {
        isTried = true;
        resolve();
      } else if (isTried) restored();
    });
  });
  try {
    const timer = setInterval(() => {
      work(false);
      void provider.forceFlush();
    }, 50);
    await tried;
    await wait(wellForMs);
    clearInterval(timer);
    await provider.forceFlush();
    for (let i = 0; i < 5; i++) work(true);
    const isBack = new Promise<number>((resolve) => {
      restored = () => resolve(performance.now());
    });
    await provider.forceFlush();
    const crossedMs = performance.now();
    return (await isBack) - crossedMs;
  } finally {
    tuner.close();
    await provider.shutdown();
  }
}
