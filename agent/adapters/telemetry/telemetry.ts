import type { Logger } from 'pino';
import type { Export } from './export.ts';

/** What the agent counts about itself. Counts are totals since the start; levels are as of now. */
export interface Readings {
  readonly pointsAccepted: number;
  /** Refused, and the sender was told, by reason. */
  readonly pointsRejected: Readonly<Record<string, number>>;
  /** Taken and then lost, by reason. */
  readonly pointsDropped: Readonly<Record<string, number>>;
  /** Inputs between receivers and engine. */
  readonly inboxDepth: number;
  /** Decisions by kind: `trial_started`, `promoted`, `rolled_back`, … */
  readonly decisions: Readonly<Record<string, number>>;
  readonly sessions: number;
  readonly components: number;
  readonly series: number;
  readonly clockSteps: number;
  readonly insights: InsightReadings;
  /** By component: runs of the audit, false accepts among them, and the interval of their rate. */
  readonly audits: Readonly<Record<string, AuditReadings>>;
}

/** What was found out about the components. */
export interface InsightReadings {
  /** Since the start, by kind: anomalies, patterns, breaches. */
  readonly found: Readonly<Record<string, number>>;
  readonly openAnomalies: number;
  /** Components with which nothing is tried because of an anomaly. */
  readonly paused: number;
  readonly series: number;
  /** Series that are not watched, for want of room. */
  readonly refusedSeries: number;
}

export interface AuditReadings {
  readonly runs: number;
  readonly accepts: number;
  readonly low: number;
  readonly high: number;
}

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
