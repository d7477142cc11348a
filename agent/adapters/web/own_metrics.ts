import type { Family, Labels, Value } from './exposition.ts';
import type { AlertsStatus, CgroupsStatus, Status } from './status.ts';

/** What the agent counts about itself: the readings of its own telemetry, and what only a page shows. */
export interface PageReadings {
  readonly version: string;
  readonly startedMs: number;
  readonly pointsAccepted: number;
  /** By reason. */
  readonly pointsRejected: Readonly<Record<string, number>>;
  readonly pointsDropped: Readonly<Record<string, number>>;
  readonly inboxDepth: number;
  /** By kind. */
  readonly decisions: Readonly<Record<string, number>>;
  readonly sessions: number;
  readonly components: number;
  readonly series: number;
  readonly clockSteps: number;
  readonly insights: {
    /** By kind. */
    readonly found: Readonly<Record<string, number>>;
    readonly openAnomalies: number;
    readonly paused: number;
    readonly series: number;
    readonly refusedSeries: number;
  };
  /** By component: runs of the audit, false accepts among them, and the interval of their rate. */
  readonly audits: Readonly<
    Record<string, { readonly runs: number; readonly accepts: number; readonly low: number; readonly high: number }>
  >;
  readonly steps: { readonly bounds: readonly number[]; readonly counts: readonly number[]; readonly sum: number };
  readonly residentBytes: number;
  readonly cpuSeconds: { readonly user: number; readonly system: number };
  /** Seconds that the event loop worked, of the seconds that there were. */
  readonly loop: { readonly activeSeconds: number; readonly idleSeconds: number };
  /** By how much the event loop was late, since the page was last read. */
  readonly loopDelaySeconds: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly upstream?: Readonly<Record<string, UpstreamReadings>>;
  readonly alerts: Omit<AlertsStatus, 'open'> & { readonly open: number };
  readonly recommendations: Status['recommendations'];
  readonly cgroups: CgroupsStatus;
}

/** Of one signal. */
export interface UpstreamReadings {
  readonly queuedRequests: number;
  readonly queuedBytes: number;
  readonly accepted: number;
  readonly acceptedBytes: number;
  readonly delivered: number;
  readonly deliveredBytes: number;
  readonly retries: number;
  readonly possibleDuplicates: number;
  readonly rejectedByUpstream: number;
  readonly unsaved: number;
  readonly dropped: Readonly<Record<string, number>>;
}

const PREFIX = 'performance_optimizer';

/** The families of the page, in the order in which a reader wants them. */
export function ownMetrics(now: PageReadings): readonly Family[] {
  return [
    {
      name: `${PREFIX}_build`,
      type: 'info',
      help: 'The version that runs.',
      values: [{ labels: { version: now.version } }],
    },
    counter('points_accepted', 'Data points taken in.', [{ value: now.pointsAccepted }]),
    counter('points_rejected', 'Data points refused; the sender was told.', by('reason', now.pointsRejected)),
    counter('points_dropped', 'Data points taken in and not used.', by('reason', now.pointsDropped)),
    counter('decisions', 'Decisions by kind: trials, promotions, rollbacks and the rest.', by('kind', now.decisions)),
    counter('clock_steps', 'Jumps of the system clock by more than a second.', [{ value: now.clockSteps }]),
    ...auditMetrics(now.audits),
    gauge('inbox_depth', 'Inputs that wait for the engine.', now.inboxDepth),
    gauge('sessions', 'Open control sessions.', now.sessions),
    gauge('components', 'Components known.', now.components),
    gauge('series', 'Metric series kept.', now.series),
    counter('insights', 'Anomalies, patterns and forecast breaches found.', by('kind', now.insights.found)),
    counter('insight_series_refused', 'Series that are not watched, for want of room.', [
      { value: now.insights.refusedSeries },
    ]),
    gauge('anomalies_open', 'Anomalies that are not over.', now.insights.openAnomalies),
    gauge('components_paused', 'Components not tuned because of an anomaly.', now.insights.paused),
    gauge('insight_series', 'Series watched for anomalies and patterns.', now.insights.series),
    {
      name: `${PREFIX}_step_duration_seconds`,
      type: 'histogram',
      unit: 'seconds',
      help: 'Time that the engine takes for one step.',
      values: [now.steps],
    },
    ...upstreamMetrics(now.upstream ?? {}),
    ...adviceMetrics(now),
    {
      name: 'process_memory_usage_bytes',
      type: 'gauge',
      unit: 'bytes',
      help: 'Resident memory of the agent.',
      values: [{ value: now.residentBytes }],
    },
    {
      name: 'process_cpu_time_seconds',
      type: 'counter',
      unit: 'seconds',
      help: 'CPU time of the agent.',
      values: by('cpu_mode', now.cpuSeconds),
    },
    {
      name: 'process_start_time_seconds',
      type: 'gauge',
      unit: 'seconds',
      help: 'When the agent started, in Unix time.',
      values: [{ value: now.startedMs / 1_000 }],
    },
    {
      name: 'nodejs_eventloop_time_seconds',
      type: 'counter',
      unit: 'seconds',
      help: 'Time of the event loop: a loop that is always active stalls control.',
      values: by('nodejs_eventloop_state', { active: now.loop.activeSeconds, idle: now.loop.idleSeconds }),
    },
    ...Object.entries(now.loopDelaySeconds).map(
      ([quantile, value]): Family => ({
        name: `nodejs_eventloop_delay_${quantile}_seconds`,
        type: 'gauge',
        unit: 'seconds',
        help: 'By how much the event loop was late since the page was last read.',
        values: [{ value }],
      }),
    ),
  ];
}

function adviceMetrics({ alerts, recommendations, cgroups }: PageReadings): Family[] {
  const { opened, resolved, delayed, dropped, webhook } = alerts;
  return [
    gauge('alerts_open', 'Alerts that somebody was told of and that still hold.', alerts.open),
    counter('alerts', 'Alerts by what became of them.', by('state', { opened, resolved, delayed, dropped })),
    ...(webhook === undefined
      ? []
      : [
          gauge('alert_webhook_queue', 'Notices that wait for the webhook.', webhook.queued),
          counter('alert_webhook_delivered', 'Notices that the webhook took.', [{ value: webhook.delivered }]),
          counter('alert_webhook_retries', 'Attempts that failed and are made again.', [{ value: webhook.retries }]),
          counter('alert_webhook_dropped', 'Notices given up.', by('reason', webhook.dropped)),
        ]),
    gauge('recommendations', 'Recommendations that hold.', recommendations.open),
    counter('recommendations_dropped', 'Recommendations that had to make room.', [{ value: recommendations.dropped }]),
    gauge('cgroup_limits', 'Files of cgroups that are set.', cgroups.applied),
    counter('cgroup_writes', 'Files of cgroups written, and put back.', [{ value: cgroups.writes }]),
    counter(
      'cgroup_refusals',
      'Files of cgroups left as they are.',
      by('reason', { refused: cgroups.refused, overruled: cgroups.overruled }),
    ),
  ];
}

function auditMetrics(audits: PageReadings['audits']): Family[] {
  const entries = Object.entries(audits);
  if (entries.length === 0) return [];
  const ends = entries.flatMap(([component, { low, high }]) => by('end', { low, high }, { component }));
  return [
    counter(
      'audit_runs',
      'Times that an incumbent was compared with itself.',
      entries.map(([component, { runs }]) => ({ labels: { component }, value: runs })),
    ),
    counter(
      'audit_false_accepts',
      'Of these, those that found a difference.',
      entries.map(([component, { accepts }]) => ({ labels: { component }, value: accepts })),
    ),
    {
      name: `${PREFIX}_audit_false_accept_ratio`,
      type: 'gauge',
      unit: 'ratio',
      help: 'Ends of the 95 % interval of the rate of false accepts.',
      values: ends,
    },
  ];
}

function upstreamMetrics(signals: Readonly<Record<string, UpstreamReadings>>): Family[] {
  const entries = Object.entries(signals);
  if (entries.length === 0) return [];
  const of = (read: (one: UpstreamReadings) => number): Value[] =>
    entries.map(([signal, one]) => ({ labels: { signal }, value: read(one) }));
  const dropped = entries.flatMap(([signal, one]) => by('reason', one.dropped, { signal }));
  return [
    counter(
      'upstream_accepted',
      'Requests taken to go upstream.',
      of((one) => one.accepted),
    ),
    bytesCounter(
      'upstream_accepted_bytes',
      'Their bytes.',
      of((one) => one.acceptedBytes),
    ),
    counter(
      'upstream_delivered',
      'Requests that the upstream took.',
      of((one) => one.delivered),
    ),
    bytesCounter(
      'upstream_delivered_bytes',
      'Their bytes.',
      of((one) => one.deliveredBytes),
    ),
    counter(
      'upstream_retries',
      'Attempts that failed and are made again.',
      of((one) => one.retries),
    ),
    counter('upstream_dropped', 'Requests that never reach the upstream.', dropped),
    counter(
      'upstream_possible_duplicates',
      'Requests sent again although the upstream may have had them.',
      of((one) => one.possibleDuplicates),
    ),
    counter(
      'upstream_rejected',
      'Points, spans and log records in delivered requests that the upstream did not want.',
      of((one) => one.rejectedByUpstream),
    ),
    counter(
      'upstream_unsaved',
      'Requests kept in memory because the disk refused them.',
      of((one) => one.unsaved),
    ),
    {
      name: `${PREFIX}_upstream_queue_requests`,
      type: 'gauge',
      help: 'Requests that wait for the upstream.',
      values: of((one) => one.queuedRequests),
    },
    {
      name: `${PREFIX}_upstream_queue_bytes`,
      type: 'gauge',
      unit: 'bytes',
      help: 'Their bytes.',
      values: of((one) => one.queuedBytes),
    },
  ];
}

function counter(suffix: string, help: string, values: readonly Value[]): Family {
  return { name: `${PREFIX}_${suffix}`, type: 'counter', help, values };
}

function bytesCounter(suffix: string, help: string, values: readonly Value[]): Family {
  return { name: `${PREFIX}_${suffix}`, type: 'counter', unit: 'bytes', help, values };
}

function gauge(suffix: string, help: string, value: number): Family {
  return { name: `${PREFIX}_${suffix}`, type: 'gauge', help, values: [{ value }] };
}

function by(label: string, counts: Readonly<Record<string, number>>, more: Labels = {}): Value[] {
  return Object.entries(counts).map(([key, value]) => ({ labels: { ...more, [label]: key }, value }));
}
