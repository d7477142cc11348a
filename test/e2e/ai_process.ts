import type { Histogram } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { connectTuner, type Knob, type Tuner, type TunerStatus } from '../../agent/client/typescript/tuner.ts';
import { Random } from '../../agent/core/tune/random.ts';

const BOUNDS_S = Array.from({ length: 60 }, (_, i) => 0.001 * 1.15 ** i);
const WORK_EVERY_MS = 10;
const REQUESTS_A_TIME = 10;

export interface AiProcessOptions {
  readonly component: string;
  readonly otlpUrl: string;
  readonly controlAddress: string;
  /** Median latency in seconds at a batch size. */
  readonly latencyS: (batch: number) => number;
  readonly failureRatio?: (batch: number) => number;
  readonly seed?: number;
  /** What the process says it holds, where that is not what it was told. */
  readonly readBack?: () => number;
}

/**
 * An AI process as a user would write it: official OpenTelemetry SDK and OTLP exporter, our client, one knob. It does no
 * inference: what it reports is drawn from a response surface, a few hundred requests a second.
 */
export class AiProcess {
  readonly tuner: Tuner;
  readonly batch: Knob<number>;
  readonly #options: AiProcessOptions;
  readonly #provider: MeterProvider;
  readonly #duration: Histogram;
  readonly #random: Random;
  readonly #timer: NodeJS.Timeout;
  readonly #statuses: TunerStatus[];
  readonly #waiting: Set<() => void>;

  private constructor(options: AiProcessOptions, tuner: Tuner, statuses: TunerStatus[], waiting: Set<() => void>) {
    this.#options = options;
    this.#statuses = statuses;
    this.#waiting = waiting;
    this.#random = Random.seeded(options.seed ?? 1);
    this.tuner = tuner;
    this.batch = tuner.int('batch_size', {
      default: 1,
      min: 1,
      max: 64,
      scale: 'log',
      applies: 'hot',
      role: 'batch',
      settleMs: 0,
      ...(options.readBack !== undefined && { readBack: options.readBack }),
    });
    this.batch.onChange(() => this.#wake());
    this.#provider = new MeterProvider({
      resource: resourceFromAttributes({ 'service.name': options.component }),
      readers: [
        new PeriodicExportingMetricReader({
          exporter: new OTLPMetricExporter({ url: options.otlpUrl }),
          exportIntervalMillis: 100,
          exportTimeoutMillis: 100,
        }),
      ],
    });
    this.#duration = this.#provider.getMeter('e2e').createHistogram('http.server.request.duration', {
      unit: 's',
      advice: { explicitBucketBoundaries: BOUNDS_S },
    });
    this.#timer = setInterval(() => this.#work(), WORK_EVERY_MS);
  }

  static async start(options: AiProcessOptions): Promise<AiProcess> {
    const statuses: TunerStatus[] = [];
    const waiting = new Set<() => void>();
    const tuner = await connectTuner({
      component: options.component,
      tier: 'research',
      address: options.controlAddress,
      onStatus: (status) => {
        statuses.push(status);
        for (const wake of waiting) wake();
        waiting.clear();
      },
    });
    return new AiProcess(options, tuner, statuses, waiting);
  }

  /** As soon as the session is in this state. */
  async status(state: TunerStatus['state']): Promise<void> {
    await this.#until(() => this.#statuses.at(-1)?.state === state);
  }

  /** As soon as the knob's value satisfies a predicate. */
  async holds(predicate: (value: number) => boolean): Promise<void> {
    await this.#until(() => predicate(this.batch.value));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.tuner.close();
    // The agent may be gone by then: the last export has nobody to go to.
    await this.#provider.shutdown().catch(() => undefined);
  }

  #work(): void {
    const { latencyS, failureRatio } = this.#options;
    const batch = this.batch.value;
    for (let i = 0; i < REQUESTS_A_TIME; i++) {
      const spread = 0.7 + 0.6 * this.#random.next();
      const failed = this.#random.next() < (failureRatio?.(batch) ?? 0);
      const status = failed ? { 'http.response.status_code': 503 } : { 'http.response.status_code': 200 };
      this.#duration.record(latencyS(batch) * spread, status);
    }
  }

  async #until(holds: () => boolean): Promise<void> {
    // A listener is asked before the value is in force: look once what is going on has been done.
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(() => setImmediate(resolve)));
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
