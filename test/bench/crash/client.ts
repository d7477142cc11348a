/**
 * An AI process of its own, started by `run.ts` and killed by it at random: our client, the official OTLP exporter, and a
 * thousand requests a second of invented work. It tells its parent each value that comes into force and each time that a
 * listener is asked, and looks after itself: a tuned value that is held longer than its lease without an agent is unsafe.
 */
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { connectTuner, type Rationale } from '../../../agent/client/typescript/tuner.ts';

export type FromClient =
  | { readonly kind: 'asked' }
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'unsafe'; readonly value: number; readonly aloneMs: number };

/** What gives values back without a command. */
const OWN_STRATEGIES: readonly string[] = ['lease', 'client', 'manual'];
const LOOK_EVERY_MS = 10;
/** A busy machine may keep a process from its timers for a while. */
const GRACE_MS = 250;

const [component = '', address = '', otlpUrl = '', leaseTtl = '', knob = ''] = process.argv.slice(2);
const leaseTtlMs = Number(leaseTtl);
const tell = (message: FromClient): void => void process.send?.(message);
let aloneSinceMs = performance.now();
const tuner = await connectTuner({
  component,
  tier: 'research',
  address,
  onStatus: () => {
    aloneSinceMs = performance.now();
  },
});
const batch = tuner.int(knob, { default: 1, min: 1, max: 64, scale: 'log', role: 'batch' });
batch.onChange((_value: number, rationale: Rationale) => {
  if (!OWN_STRATEGIES.includes(rationale.strategy)) tell({ kind: 'asked' });
});

const provider = new MeterProvider({
  resource: resourceFromAttributes({ 'service.name': component }),
  readers: [
    new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: otlpUrl }),
      exportIntervalMillis: 100,
      exportTimeoutMillis: 100,
    }),
  ],
});
const duration = provider.getMeter('crash').createHistogram('http.server.request.duration', {
  unit: 's',
  advice: { explicitBucketBoundaries: Array.from({ length: 40 }, (_, i) => 0.001 * 1.2 ** i) },
});
let told = batch.value;
let isUnsafe = false;
setInterval(() => {
  for (let i = 0; i < 10; i++) duration.record((0.2 / batch.value ** 0.7) * (0.7 + 0.6 * Math.random()));
  const { value } = batch;
  if (value !== told) tell({ kind: 'value', value });
  told = value;
  const aloneMs = tuner.status.state === 'connected' ? 0 : performance.now() - aloneSinceMs;
  const wasUnsafe = isUnsafe;
  isUnsafe = value !== 1 && aloneMs > leaseTtlMs + GRACE_MS;
  if (isUnsafe && !wasUnsafe) tell({ kind: 'unsafe', value, aloneMs });
}, LOOK_EVERY_MS);
process.on('disconnect', () => process.exit());
