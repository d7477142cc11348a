import type { Logger } from 'pino';
import type { Readings } from '../readings/readings.ts';
import type { Export } from './export.ts';

export interface TelemetryOptions {
  /** `http://host:port`; without one nothing is exported and nothing runs. */
  readonly endpoint: string | null;
  readonly intervalMs: number;
  readonly serviceVersion: string;
  /** Log the readings every interval as well. */
  readonly debugMetrics: boolean;
  readonly log: Logger;
  /** Asked once an export. */
  readonly readings: () => Readings;
}

/** The agent's own metrics. */
export interface Telemetry {
  /** Never throws for an endpoint that is away: exporting goes on trying. */
  start(): Promise<void>;
  /** Sends what there is, until the deadline. */
  stop(deadline: AbortSignal): Promise<void>;
  /** The engine has taken one step. */
  recordStep(durationMs: number): void;
}

export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { endpoint, intervalMs, debugMetrics, log, readings } = options;
  let exporting: Export | undefined;
  let timer: NodeJS.Timeout | undefined;

  return {
    async start() {
      if (debugMetrics) {
        timer = setInterval(() => log.info({ readings: readings() }, 'own readings'), intervalMs);
        timer.unref();
      }
      if (endpoint === null) return;
      const { startExport } = await import('./export.ts');
      exporting = startExport(endpoint, options);
      log.info({ endpoint, intervalMs }, 'own telemetry is exported');
    },

    async stop(deadline) {
      clearInterval(timer);
      const last = exporting?.shutdown();
      exporting = undefined;
      await withinDeadline(last, deadline, (error) =>
        log.warn({ err: error, endpoint }, 'the last export of own telemetry failed'),
      );
    },

    recordStep(durationMs) {
      exporting?.recordStep(durationMs);
    },
  };
}

/** Waits for `work` no longer than the deadline; a failure is told and not thrown. */
async function withinDeadline(
  work: Promise<void> | undefined,
  deadline: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  if (work === undefined) return;
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const onAbort = (): void => resolve();
  if (deadline.aborted) resolve();
  deadline.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work.catch(failed), over]);
  } finally {
    deadline.removeEventListener('abort', onAbort);
  }
}
