import type { AuditReadings, InsightReadings, Readings, UpstreamReadings } from './readings.ts';

/** One metric of the agent's own, in OpenTelemetry's terms, as it stands now. */
export interface OwnMetric {
  readonly name: string;
  readonly kind: 'counter' | 'updowncounter' | 'gauge';
  /** UCUM; what is counted stands in braces. */
  readonly unit: string;
  readonly description: string;
  readonly points: readonly OwnPoint[];
}

export interface OwnPoint {
  readonly value: number;
  readonly attributes?: Attributes;
}

type Attributes = Readonly<Record<string, string>>;

const PREFIX = 'performance_optimizer';

/** The one metric that is recorded as things happen. Seconds: a step is well below a millisecond; above ten it is worth seeing in detail. */
export const STEP_DURATION = {
  name: `${PREFIX}.step.duration`,
  unit: 's',
  description: 'Time that the engine takes for one step.',
  bounds: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
} as const;

/** All others, in the order in which a reader wants them: what is exported over OTLP, and what the page shows. */
export function ownMetrics(now: Readings): readonly OwnMetric[] {
  return [
    counter('points.accepted', '{point}', 'Data points taken in.', [{ value: now.pointsAccepted }]),
    counter(
      'points.rejected',
      '{point}',
      'Data points refused; the sender was told.',
      by('reason', now.pointsRejected),
    ),
    counter('points.dropped', '{point}', 'Data points taken in and not used.', by('reason', now.pointsDropped)),
    counter(
      'decisions',
      '{decision}',
      'Decisions: trials, promotions, rollbacks and the rest.',
      by('kind', now.decisions),
    ),
    counter('clock.steps', '{step}', 'Jumps of the system clock by more than a second.', [{ value: now.clockSteps }]),
    ...auditMetrics(now.audits),
    level('inbox.depth', '{input}', 'Inputs that wait for the engine.', now.inboxDepth),
    level('sessions', '{session}', 'Open control sessions.', now.sessions),
    level('components', '{component}', 'Components known.', now.components),
    level('series', '{series}', 'Metric series kept.', now.series),
    ...insightMetrics(now.insights),
    ...upstreamMetrics(now.upstream ?? {}),
    ...adviceMetrics(now),
    ...processMetrics(now),
  ];
}

function auditMetrics(audits: Readonly<Record<string, AuditReadings>>): OwnMetric[] {
  const entries = Object.entries(audits);
  const of = (read: (audit: AuditReadings) => number): OwnPoint[] =>
    entries.map(([component, audit]) => ({ value: read(audit), attributes: { component } }));
  return [
    counter(
      'audit.runs',
      '{run}',
      'Times that an incumbent was compared with itself.',
      of(({ runs }) => runs),
    ),
    counter(
      'audit.false_accepts',
      '{run}',
      'Of these, those that found a difference.',
      of(({ accepts }) => accepts),
    ),
    {
      name: `${PREFIX}.audit.false_accept`,
      kind: 'gauge',
      unit: '1',
      description: 'Ends of the 95 % interval of the rate of false accepts.',
      points: entries.flatMap(([component, { low, high }]) => by('end', { low, high }, { component })),
    },
  ];
}

function insightMetrics({ found, refusedSeries, openAnomalies, paused, series }: InsightReadings): OwnMetric[] {
  return [
    counter('insights', '{insight}', 'Anomalies, patterns and forecast breaches found.', by('kind', found)),
    counter('insight.series.refused', '{series}', 'Series that are not watched, for want of room.', [
      { value: refusedSeries },
    ]),
    level('anomalies.open', '{anomaly}', 'Anomalies that are not over.', openAnomalies),
    level('components.paused', '{component}', 'Components not tuned because of an anomaly.', paused),
    level('insight.series', '{series}', 'Series watched for anomalies and patterns.', series),
  ];
}

function upstreamMetrics(signals: Readonly<Record<string, UpstreamReadings>>): OwnMetric[] {
  const entries = Object.entries(signals);
  const of = (read: (one: UpstreamReadings) => number): OwnPoint[] =>
    entries.map(([signal, one]) => ({ value: read(one), attributes: { signal } }));
  const requests = (suffix: string, description: string, points: readonly OwnPoint[]): OwnMetric =>
    counter(`upstream.${suffix}`, '{request}', description, points);
  const queue = { name: `${PREFIX}.upstream.queue`, kind: 'gauge' } as const;
  return [
    requests(
      'accepted',
      'Requests taken to go upstream.',
      of(({ accepted }) => accepted),
    ),
    counter(
      'upstream.accepted.size',
      'By',
      'Bytes of requests taken to go upstream.',
      of((one) => one.acceptedBytes),
    ),
    requests(
      'delivered',
      'Requests that the upstream took.',
      of(({ delivered }) => delivered),
    ),
    counter(
      'upstream.delivered.size',
      'By',
      'Bytes of requests that the upstream took.',
      of((one) => one.deliveredBytes),
    ),
    requests(
      'retries',
      'Attempts that failed and are made again.',
      of(({ retries }) => retries),
    ),
    requests(
      'dropped',
      'Requests that never reach the upstream.',
      entries.flatMap(([signal, one]) => by('reason', one.dropped, { signal })),
    ),
    requests(
      'possible_duplicates',
      'Requests sent again although the upstream may have had them.',
      of((one) => one.possibleDuplicates),
    ),
    counter(
      'upstream.rejected',
      '{item}',
      'Points, spans and log records in delivered requests that the upstream did not want.',
      of((one) => one.rejectedByUpstream),
    ),
    requests(
      'unsaved',
      'Requests kept in memory because the disk refused them.',
      of(({ unsaved }) => unsaved),
    ),
    {
      ...queue,
      name: `${queue.name}.requests`,
      unit: '{request}',
      description: 'Requests that wait for the upstream.',
      points: of((one) => one.queuedRequests),
    },
    {
      ...queue,
      name: `${queue.name}.size`,
      unit: 'By',
      description: 'Bytes of requests that wait for the upstream.',
      points: of((one) => one.queuedBytes),
    },
  ];
}

function adviceMetrics({ alerts, recommendations, cgroups }: Readings): OwnMetric[] {
  const { opened, resolved, delayed, dropped, webhook } = alerts;
  const { applied, writes, refused, overruled } = cgroups;
  return [
    level('alerts.open', '{alert}', 'Alerts that somebody was told of and that still hold.', alerts.open),
    counter('alerts', '{alert}', 'Alerts by what became of them.', by('state', { opened, resolved, delayed, dropped })),
    ...(webhook === undefined
      ? []
      : [
          level('alert.webhook.queue', '{notice}', 'Notices that wait for the webhook.', webhook.queued),
          counter('alert.webhook.delivered', '{notice}', 'Notices that the webhook took.', [
            { value: webhook.delivered },
          ]),
          counter('alert.webhook.retries', '{attempt}', 'Attempts that failed and are made again.', [
            { value: webhook.retries },
          ]),
          counter('alert.webhook.dropped', '{notice}', 'Notices given up.', by('reason', webhook.dropped)),
        ]),
    level('recommendations', '{recommendation}', 'Recommendations that hold.', recommendations.open),
    counter('recommendations.dropped', '{recommendation}', 'Recommendations that had to make room.', [
      { value: recommendations.dropped },
    ]),
    level('cgroup.limits', '{file}', 'Files of cgroups that are set.', applied),
    counter('cgroup.writes', '{file}', 'Files of cgroups written, and put back.', [{ value: writes }]),
    counter('cgroup.refusals', '{file}', 'Files of cgroups left as they are.', by('reason', { refused, overruled })),
  ];
}

function processMetrics({ residentBytes, cpuSeconds, startedMs, loop, loopDelaySeconds }: Readings): OwnMetric[] {
  return [
    {
      name: 'process.memory.usage',
      kind: 'updowncounter',
      unit: 'By',
      description: 'Resident memory of the agent.',
      points: [{ value: residentBytes }],
    },
    {
      name: 'process.cpu.time',
      kind: 'counter',
      unit: 's',
      description: 'CPU time of the agent.',
      points: by('cpu.mode', cpuSeconds),
    },
    {
      name: 'process.start_time',
      kind: 'gauge',
      unit: 's',
      description: 'When the agent started, in Unix time.',
      points: [{ value: startedMs / 1_000 }],
    },
    {
      name: 'nodejs.eventloop.time',
      kind: 'counter',
      unit: 's',
      description: 'Time of the event loop: a loop that is always active stalls control.',
      points: by('nodejs.eventloop.state', { active: loop.activeSeconds, idle: loop.idleSeconds }),
    },
    ...Object.entries(loopDelaySeconds).map(
      ([quantile, value]): OwnMetric => ({
        name: `nodejs.eventloop.delay.${quantile}`,
        kind: 'gauge',
        unit: 's',
        description: 'By how much the event loop was late since this was last read.',
        points: [{ value }],
      }),
    ),
  ];
}

function counter(suffix: string, unit: string, description: string, points: readonly OwnPoint[]): OwnMetric {
  return { name: `${PREFIX}.${suffix}`, kind: 'counter', unit, description, points };
}

function level(suffix: string, unit: string, description: string, value: number): OwnMetric {
  return { name: `${PREFIX}.${suffix}`, kind: 'gauge', unit, description, points: [{ value }] };
}

function by(key: string, counts: Readonly<Record<string, number>>, more: Attributes = {}): OwnPoint[] {
  return Object.entries(counts).map(([name, value]) => ({ value, attributes: { ...more, [key]: name } }));
}
