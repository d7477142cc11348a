import type { History } from './adapters/history/history.ts';
import type { ReceiverCounters } from './adapters/otlp/counters.ts';
import type { Counts, InsightReadings, Readings, UpstreamReadings } from './adapters/readings/readings.ts';
import type { Upstream, UpstreamStatus } from './adapters/upstream/upstream.ts';
import type { ComponentStatus, HistoryStatus, Status, TuningStatus } from './adapters/web/status.ts';
import type { Config } from './config/schema.ts';
import type { Engine, View } from './core/engine.ts';
import type { TunerView } from './core/tune/view.ts';
import type { RuntimeStats } from './runtime.ts';

/** The parts whose state the pages show. */
export interface StatusParts {
  readonly config: Config;
  readonly version: string;
  readonly startedMs: number;
  readonly nowMs: number;
  readonly notReady: string | undefined;
  readonly engine: Engine;
  readonly runtime: RuntimeStats;
  readonly views: readonly View[];
  readonly receiver: {
    readonly counters: Readonly<ReceiverCounters>;
    readonly addresses: { readonly grpc: string | undefined; readonly http: string | undefined };
  };
  readonly controlAddresses: readonly string[];
  readonly sampler: { readonly samples: number; readonly failures: number };
  readonly upstream: Upstream | undefined;
  /** Absent where its file cannot be used. */
  readonly history: History | undefined;
  readonly alerts: Status['alerts'];
  readonly recommendations: Status['recommendations'];
  readonly cgroups: Status['cgroups'];
}

/** Every part's state in one object, for `/status`. */
export function statusOf(parts: StatusParts): Status {
  const { config, engine, runtime, views, receiver, notReady, upstream } = parts;
  const { counters, addresses } = receiver;
  const { series, unmapped } = engine.stats();
  const { overloaded, inFlight, memory, tooLarge, undecodable, unsupported, badHttp, abandoned, internal } =
    counters.refused;
  return {
    version: parts.version,
    node: process.versions.node,
    pid: process.pid,
    epoch: engine.epoch,
    nowMs: parts.nowMs,
    startedMs: parts.startedMs,
    ready: notReady === undefined,
    ...(notReady !== undefined && { notReady }),
    engine: {
      monitoring: config.monitoring.enabled,
      tuning: config.optimization.enabled,
      ...(runtime.halted !== undefined && { halted: runtime.halted }),
      ...(engine.frozen !== undefined && { frozen: engine.frozen }),
      inboxDepth: runtime.queuedInputs + runtime.queuedPoints,
      pointsAccepted: runtime.pointsAccepted,
      pointsUnmapped: unmapped,
      series: series.live,
      maxSeries: config.capacity.maxSeries,
      minRequests: config.tuning.window.minRequests,
    },
    receiver: {
      addresses: { grpc: addresses.grpc ?? null, http: addresses.http ?? null },
      requests: counters.requests,
      pointsAccepted: counters.pointsAccepted,
      pointsRejected: counters.pointsRejected,
      requestsRefused: {
        overloaded,
        inFlight,
        memory,
        tooLarge,
        undecodable,
        unsupported,
        badHttp,
        abandoned,
        internal,
      },
      tracesDropped: counters.tracesDropped,
      logsDropped: counters.logsDropped,
    },
    journal: { path: config.state.path, unsavedDecisions: runtime.unsavedDecisions },
    control: {
      addresses: parts.controlAddresses,
      sessions: views.filter(({ tuning }) => tuning?.connected === true).length,
    },
    sampler: parts.sampler,
    history: historyOf(parts.history, engine.stats().lateForHistory),
    ...(upstream !== undefined && { upstream: upstream.status() }),
    components: views.map((view) => componentOf(view, openAnomalies(engine, view.component))),
    alerts: parts.alerts,
    recommendations: parts.recommendations,
    cgroups: parts.cgroups,
  };
}

function historyOf(history: History | undefined, late: number): HistoryStatus {
  if (history === undefined) return { kept: false, problem: 'its file cannot be used; the log says why' };
  const { bytes, problem, counts } = history;
  const { written, unwritten, evicted, pruned } = counts;
  return { kept: true, ...(problem !== undefined && { problem }), bytes, late, written, unwritten, evicted, pruned };
}

function openAnomalies(engine: Engine, component: string): number {
  return engine.anomalies(component).filter(({ state }) => state === 'open').length;
}

/** What was found out, counted. */
export function insightReadings(engine: Engine): InsightReadings {
  const { series, refusedSeries, anomalies, patterns, breaches } = engine.stats().insights;
  const components = engine.insights();
  return {
    found: { anomaly: anomalies, pattern: patterns, forecast_breach: breaches },
    openAnomalies: components.reduce((sum, component) => sum + openAnomalies(engine, component), 0),
    paused: components.filter((component) => engine.pausedBy(component) !== undefined).length,
    ...{ series, refusedSeries },
  };
}

function componentOf({ component, profile, tuning, paused }: View, openAnomalies: number): ComponentStatus {
  const responseTimeMs = profile?.metrics.responseTime?.average;
  const requestsPerSecond = profile?.metrics.throughput?.average;
  const errorRatio = profile?.metrics.errorRate;
  return {
    component,
    ...(profile?.measuredAtMs !== undefined && { measuredAtMs: profile.measuredAtMs }),
    ...(responseTimeMs !== undefined && { responseTimeMs }),
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    ...(errorRatio !== undefined && { errorRatio }),
    ...(openAnomalies > 0 && { openAnomalies }),
    ...(paused !== undefined && { paused }),
    ...(tuning !== undefined && { tuning: tuningOf(tuning) }),
  };
}

function tuningOf({ connected, tier, phase, frozen, knobs, openTrial, proposals, audit }: TunerView): TuningStatus {
  const proposal = proposals.find(({ approvedBy }) => approvedBy === undefined);
  return {
    connected,
    tier,
    phase,
    ...(frozen !== undefined && { frozen }),
    knobs: knobs.map(({ spec, mode, pinned, incumbent }) => ({ knob: spec.id, mode, pinned, value: incumbent })),
    ...(openTrial !== undefined && {
      openTrial: {
        id: openTrial.id,
        strategy: openTrial.strategy,
        startedMs: openTrial.startedMs,
        blocks: openTrial.blocks,
      },
    }),
    ...(proposal !== undefined && { proposal: proposal.id }),
    audit,
  };
}

/** What the agent counts about itself, put together from what each part counts. */
export function readingsOf(
  counts: Counts,
  parts: Pick<StatusParts, 'version' | 'startedMs' | 'upstream' | 'alerts' | 'recommendations' | 'cgroups'>,
  loop: Pick<Readings, 'loop' | 'loopDelaySeconds'>,
): Readings {
  const { user, system } = process.cpuUsage();
  return {
    ...counts,
    ...loop,
    version: parts.version,
    startedMs: parts.startedMs,
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: { user: user / 1e6, system: system / 1e6 },
    alerts: { ...parts.alerts, open: parts.alerts.open.length },
    recommendations: parts.recommendations,
    cgroups: parts.cgroups,
    ...(parts.upstream !== undefined && { upstream: upstreamReadings(parts.upstream.status()) }),
  };
}

function upstreamReadings({ signals }: UpstreamStatus): Readonly<Record<string, UpstreamReadings>> {
  return Object.fromEntries(
    Object.entries(signals).map(([signal, { queued, counters }]) => [
      signal,
      { queuedRequests: queued.requests, queuedBytes: queued.bytes, ...counters },
    ]),
  );
}
