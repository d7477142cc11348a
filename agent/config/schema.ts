import { validate as isCron } from 'node-cron';
import { z } from 'zod';
import { SEVERITIES } from '../core/detect/anomaly.ts';
import { KNOB_MODES, TIERS } from '../core/model.ts';
import { DEFAULT_ENGINE_SETTINGS as ENGINE } from '../core/settings.ts';
import { DEFAULT_TCP_ADDRESS } from '../rpc/address.ts';

import { access, mutualTls } from './access.ts';
import { alerts } from './alerts.ts';
import { flags } from './flags.ts';
import { address, bytes, choice, duration, flag, formatDuration, integer, number, pemFile, text } from './kinds.ts';
import { componentResources, resources } from './resources.ts';

import { scrapeTarget } from './scrape-target.ts';
import { signalRow } from './signal-rows.ts';
import { upstream, web } from './upstream.ts';

/*
 * Every key of the configuration, once: types, validation, defaults, `config/schema.json` and `config/agent.yaml` all
 * come from here. `monitoring`, `optimization`, `analytics`, `debug` and `thresholds` are the design document's keys.
 */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MIB = 1024 ** 2;
const NAME = /^[^\p{Cc}]{1,200}$/u;

function section<S extends z.ZodRawShape>(description: string, shape: S) {
  return z.strictObject(shape).meta({ description });
}

function cronLine(description: string) {
  return z
    .string()
    .max(100)
    .refine((cron) => isCron(cron))
    .meta({ description, allowed: 'a cron line of five or six fields, such as "*/15 * * * *"' });
}

const objectiveWeight = (description: string) => number(description, { min: 0, max: 100 });
const objective = {
  responseTimeMean: objectiveWeight('Weight of the mean response time.'),
  responseTimeP95: objectiveWeight('Weight of the 95th percentile of the response time.'),
  throughput: objectiveWeight('Weight of the throughput; more is better.'),
  errorRate: objectiveWeight('Weight of the share of failed requests, entering as -log(1 - errorRatio).'),
  reward: objectiveWeight('Weight of what the process itself says its work was worth (ReportOutcome); more is better.'),
};
const errorRatio = number('Largest share of failed requests while experimenting.', { min: 0, max: 1 });
const responseTimeLimit = duration(
  'Largest 95th percentile of the response time while experimenting; null: no limit.',
  {
    min: 0.001,
    max: DAY,
  },
);

const mode = choice(
  'The most the tuner may do by itself: observe, recommend, ask for approval, or apply (auto).',
  KNOB_MODES,
);

const componentPolicy = z
  .strictObject({
    tier: choice(
      'How much harm exploring may do; without it, what the process itself declares.',
      TIERS,
    ).exactOptional(),
    mode: mode.exactOptional(),
    knobs: z
      .record(
        z.string().regex(NAME),
        z.strictObject({
          mode: mode.exactOptional(),
          min: number('Never set this knob below.', { min: -1e15, max: 1e15 }).exactOptional(),
          max: number('Never set this knob above.', { min: -1e15, max: 1e15 }).exactOptional(),
        }),
      )
      .exactOptional(),
    objective: z
      .strictObject({
        responseTimeMean: objective.responseTimeMean.exactOptional(),
        responseTimeP95: objective.responseTimeP95.exactOptional(),
        throughput: objective.throughput.exactOptional(),
        errorRate: objective.errorRate.exactOptional(),
        reward: objective.reward.exactOptional(),
      })
      .exactOptional(),
    limits: z
      .strictObject({
        errorRatio: errorRatio.exactOptional(),
        responseTimeP95: responseTimeLimit.exactOptional(),
      })
      .exactOptional(),
    resources: componentResources,
  })
  .meta({ description: 'What is different for one component.' });

function tierPolicy(tier: keyof typeof ENGINE.tiers, description: string) {
  const policy = ENGINE.tiers[tier];
  return section(description, {
    mode: mode.default(policy.mode),
    maxStepRatio: number('Largest single step of a knob, as a share of its range. 0: never moved by the tuner.', {
      min: 0,
      max: 0.5,
    }).default(policy.maxStepRatio),
    harmRatio: number('Share of the objective that exploring may give up.', { min: 0, max: 0.5 }).default(
      policy.harmRatio,
    ),
  }).prefault({});
}

const monitoring = section('Observing.', {
  enabled: flag('false: nothing is received or sampled, and so nothing is tuned.').default(true),
  interval: duration('Length of one profile interval, and the time between two samples of host and process.', {
    min: 100,
    max: HOUR,
  }).prefault(ENGINE.profile.intervalMs),
  windowSize: integer('Number of intervals that a profile keeps in memory.', { min: 2, max: 10_000 }).default(
    ENGINE.profile.windowSize,
  ),
  dataRetention: duration(
    'How long history is kept on disk: minutes and hours of each signal of each component, for `perfopt history` and for ' +
      'forecasts, which want weeks where load has a weekly rhythm. A minute of a signal is some 100 to 300 bytes.',
    { min: MINUTE, max: 3650 * DAY },
  ).prefault(86_400_000),
  debugMetrics: flag("Log the agent's own readings every `telemetry.interval`.").default(false),
}).prefault({});

const optimization = section('Tuning.', {
  enabled: flag('false: profiles are kept and shown, and no knob is ever moved.').default(ENGINE.optimization.enabled),
  aggressiveness: number(
    "Scales the step and the harm that a tier allows: 0 never moves a knob, 0.5 is the tier's own figure, 1 is twice that.",
    { min: 0, max: 1 },
  ).default(ENGINE.optimization.aggressiveness),
  learningRate: number('Gain of a probing step: larger follows a change sooner and noise more.', {
    min: 0.001,
    max: 1,
  }).default(ENGINE.optimization.learningRate),
  adaptationThreshold: number('Confidence that a learned rule needs before it is used.', {
    min: 0,
    max: 1,
  }).default(ENGINE.optimization.adaptationThreshold),
  rollbackEnabled: flag(
    'false: what could not be taken back is not tried unattended: knobs in mode auto ask for approval instead.',
  ).default(ENGINE.optimization.rollbackEnabled),
}).prefault({});

const analytics = section('Analysis of what was observed.', {
  enabled: flag('false: none of it.').default(true),
  predictiveAnalysis: flag('Forecast signals, and warn when a limit will be reached.').default(
    ENGINE.analytics.predictiveAnalysis,
  ),
  patternRecognition: flag('Recognise trends, cycles, shifts, leaks, saturation and what follows what.').default(
    ENGINE.analytics.patternRecognition,
  ),
  anomalyDetection: flag('Detect anomalies, and try nothing while a bad one is open.').default(
    ENGINE.analytics.anomalyDetection,
  ),
  falseAlertsPerDay: number('False alerts a day that are tolerated on one series; the bar follows from it.', {
    min: 0.001,
    max: 100,
  }).default(ENGINE.analytics.falseAlertsPerDay),
  freezeAt: choice('While an anomaly at least this severe is open, no change is tried.', [
    ...SEVERITIES,
    'never',
  ]).default(ENGINE.analytics.freezeAt),
  capacityReport: cronLine('When the daily capacity report goes to the log and to those who watch events.').default(
    '0 6 * * *',
  ),
  maxSeries: integer('Most series watched, twenty a component at most; beyond, counted.', {
    min: 0,
    max: 1_000_000,
  }).default(ENGINE.analytics.maxSeries),
}).prefault({});

const band = (description: string, ms: number) => duration(description, { min: 0.001, max: DAY }).prefault(ms);
const rate = (description: string, perSecond: number) => number(description, { min: 0, max: 1e12 }).default(perSecond);
const percent = (description: string, value: number) => number(description, { min: 1, max: 100 }).default(value);

const thresholds = section('What counts as good: for health, the performance score, bottlenecks and alerts.', {
  responseTime: section('Bands of the response time, each below the next.', {
    excellent: band('Below this: excellent.', 10),
    good: band('Below this: good.', 50),
    acceptable: band('Below this: acceptable.', 200),
    poor: band('Above this: poor.', 1_000),
  }).prefault({}),
  throughput: section('Requests per second.', {
    minimum: rate('The least that is acceptable.', 10),
    target: rate('What is aimed at.', 100),
    maximum: rate('The most that is expected.', 1_000),
  }).prefault({}),
  resourceUsage: section('Percent of what there is, above which a resource counts as scarce.', {
    cpu: percent('CPU.', 80),
    memory: percent('Memory.', 85),
    gpu: percent('GPU.', 90),
  }).prefault({}),
}).prefault({});

const gpu = section('GPUs of this machine, sampled every `monitoring.interval`. Without one this costs nothing.', {
  source: choice(
    "Where readings come from: NVIDIA's library (nvml), its command (nvidia-smi, which tells no processes), the files of " +
      'the AMD driver (amd), the first of these that tells something (auto), or nowhere (none).',
    ['auto', 'nvml', 'nvidia-smi', 'amd', 'none'],
  ).default('auto'),
}).prefault({});

const urlPath = (description: string) =>
  text(description, 'a path such as /v1/metrics', /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,200}$/);
const otlpTransport = {
  maxMessageBytes: bytes('Largest request, after decompression.', { min: 4096, max: 512 * MIB }).prefault('64MiB'),
  maxInFlightBytes: bytes('Most bytes of requests in work at once; beyond, a sender is asked to come back.', {
    min: 4096,
    max: 4096 * MIB,
  }).prefault('128MiB'),
  insecure: flag(
    'An address beyond loopback may go without tls. For networks that only trusted processes are on, such as that of ' +
      'a pod or of containers, where listening on 0.0.0.0 is the only way to be reached.',
  ).default(false),
  tls: section('Encrypts. The files are read again when they change. null: no encryption.', {
    cert: pemFile('The certificate, and those between it and the authority.'),
    key: pemFile('Its private key.'),
    clientCa: pemFile('Only clients with a certificate of this authority get in; null: all.').nullable().default(null),
  })
    .nullable()
    .default(null)
    .meta({ example: { cert: '/etc/perfopt/tls.crt', key: '/etc/perfopt/tls.key', clientCa: '/etc/perfopt/ca.crt' } }),
};

const receivers = section('Where telemetry comes in.', {
  otlp: section('The OpenTelemetry protocol.', {
    maxResidentBytes: bytes(
      'While the agent holds more memory than this (or than four fifths of what its container allows), requests are ' +
        'refused and senders asked to come back.',
      { min: 64 * MIB, max: 65_536 * MIB },
    ).prefault('512MiB'),
    grpc: section('Over gRPC.', {
      address: address('Listens here. Beyond loopback needs tls, or insecure.').default('127.0.0.1:4317'),
      ...otlpTransport,
    }).prefault({}),
    http: section('Over HTTP, in protobuf or JSON.', {
      address: address('Listens here; null: nowhere. Beyond loopback needs tls, or insecure.')
        .nullable()
        .default('127.0.0.1:4318'),
      metricsPath: urlPath('Where metrics are posted.').default('/v1/metrics'),
      tracesPath: urlPath('Where traces are posted.').default('/v1/traces'),
      logsPath: urlPath('Where logs are posted.').default('/v1/logs'),
      ...otlpTransport,
    }).prefault({}),
  }).prefault({}),
  prometheus: section('Prometheus pages of AI servers, in text 0.0.4 or OpenMetrics: scraped.', {
    targets: z
      .array(scrapeTarget)
      .max(100)
      .default([])
      .meta({
        description: 'The pages. The names of vLLM, SGLang, TGI, Triton, llama.cpp and DCGM are known.',
        allowed: 'a list of at most 100 rows, each with a url',
        example: [
          { url: 'http://127.0.0.1:8000/metrics', component: 'chat' },
          { url: 'http://127.0.0.1:9400/metrics', component: null, interval: '10s' },
        ],
      }),
  }).prefault({}),
}).prefault({});

const control = section('Where AI processes connect, declare their knobs and receive values.', {
  socket: text(
    'Unix socket, created with mode 0600. auto: performance-optimizer/control.sock in $XDG_RUNTIME_DIR, or else ' +
      '/tmp/performance-optimizer-UID/control.sock, where clients look by themselves. null: none.',
    'auto, an absolute path of at most 100 characters, or null',
    /^(?:auto|\/[^\p{Cc}]{1,99})$/u,
  )
    .nullable()
    .default('auto'),
  address: address('TCP; null: none. Beyond loopback the agent refuses to start without tls.')
    .nullable()
    .default(DEFAULT_TCP_ADDRESS),
  tls: mutualTls,
  access,
  heartbeatInterval: duration('Time between two heartbeats of a session.', { min: 100, max: 5 * MINUTE }).prefault(
    formatDuration(ENGINE.lease.ttlMs / 3),
  ),
  leaseTtl: duration('A tuned value lives this long without a renewal; then the process falls back by itself.', {
    min: 300,
    max: HOUR,
  }).prefault(formatDuration(ENGINE.lease.ttlMs)),
  applyDeadline: duration('A process must answer a command within this time.', { min: 100, max: 10 * MINUTE }).prefault(
    formatDuration(ENGINE.lease.applyDeadlineMs),
  ),
  maxSessions: integer('Most processes connected at once.', { min: 1, max: 10_000 }).default(64),
  maxKnobs: integer('Most knobs that one process may declare.', { min: 1, max: 10_000 }).default(256),
  maxMessagesPerSecond: integer(
    'Most messages of one process, on average over two seconds; beyond, its session ends.',
    {
      min: 1,
      max: 1_000_000,
    },
  ).default(200),
  maxRequestsPerSecond: integer('Most calls at one address, on average over two seconds; beyond, they are refused.', {
    min: 1,
    max: 1_000_000,
  }).default(100),
  maxResends: integer('How often an unanswered command is sent again.', { min: 0, max: 100 }).default(
    ENGINE.lease.maxResends,
  ),
}).prefault({});

const state = section('What survives a restart.', {
  path: text(
    'The SQLite file. Deleting it is a clean start. History is in a second one beside it, with -history in its name.',
    'a path',
    /^[^\p{Cc}]{1,4096}$/u,
  ).default('performance-optimizer.db'),
  maxBytes: bytes('The file never grows beyond; what does not fit fails as a full disk does.', {
    min: MIB,
    max: 65_536 * MIB,
  }).prefault('1GiB'),
  maxHistoryBytes: bytes('The same for the history beside it, where the oldest rows go first, and are counted.', {
    min: MIB,
    max: 65_536 * MIB,
  }).prefault('256MiB'),
  decisionRetention: duration('How long decisions are kept for `perfopt decisions` and `explain`.', {
    min: HOUR,
    max: 3650 * DAY,
  }).prefault('90d'),
  maintenance: cronLine(
    'When old decisions are deleted and the write-ahead log is folded into the file, as a cron line.',
  ).default('*/15 * * * *'),
}).prefault({});

const telemetry = section("The agent's own metrics.", {
  endpoint: text(
    'OTLP/gRPC endpoint to export to; null: OTEL_EXPORTER_OTLP_ENDPOINT where it is set, and else off.',
    'http://host:port, https://host:port or null',
    /^https?:\/\/[^\s\p{Cc}/]{1,255}\/?$/u,
  )
    .nullable()
    .default(null),
  interval: duration('Time between two exports.', { min: 100, max: HOUR }).prefault('30s'),
}).prefault({});

const tuning = section('How the engine measures, proves and gives up.', {
  tick: duration('Time between two steps of the engine.', { min: 10, max: MINUTE }).prefault(
    formatDuration(ENGINE.tickMs),
  ),
  window: section('One measurement.', {
    min: duration('Covers at least this much time.', { min: 100, max: HOUR }).prefault(
      formatDuration(ENGINE.window.minMs),
    ),
    max: duration('Closes after this time at the latest.', { min: 100, max: DAY }).prefault(
      formatDuration(ENGINE.window.maxMs),
    ),
    minRequests: integer('Covers at least this many requests.', { min: 1, max: 10_000_000 }).default(
      ENGINE.window.minRequests,
    ),
  }).prefault({}),
  objective: section('What a window is judged by: the weighted sum of logarithms, minimised.', {
    responseTimeMean: objective.responseTimeMean.default(ENGINE.objective.responseTimeMean),
    responseTimeP95: objective.responseTimeP95.default(ENGINE.objective.responseTimeP95),
    throughput: objective.throughput.default(ENGINE.objective.throughput),
    errorRate: objective.errorRate.default(ENGINE.objective.errorRate),
    reward: objective.reward.default(0),
  }).prefault({}),
  limits: section('Crossing one during an experiment restores the incumbent at once.', {
    errorRatio: errorRatio.default(ENGINE.limits.errorRatio),
    responseTimeP95: responseTimeLimit.nullable().default(null),
  }).prefault({}),
  slo: section('A service level objective; its burn rate restores the incumbent.', {
    responseTime: duration('A request counts as good below this response time.', { min: 0.001, max: DAY }),
    targetRatio: number('Share of requests that must be good.', { min: 0.5, max: 0.99999 }),
  })
    .nullable()
    .default(null)
    .meta({ example: { responseTime: '250ms', targetRatio: 0.99 } }),
  proof: section('When a change counts as proven.', {
    alpha: number('Share of all changes ever kept that may be false.', { min: 0.0001, max: 0.5 }).default(
      ENGINE.proof.alpha,
    ),
    maxBlocks: integer('Blocks of three windows after which an unproven change is futile.', {
      min: 2,
      max: 1_000,
    }).default(ENGINE.proof.maxBlocks),
    minimumEffect: number('Smallest relative improvement worth keeping.', { min: 0, max: 1 }).default(
      ENGINE.proof.minimumEffect,
    ),
  }).prefault({}),
  probe: section('How the engine looks for a better setting.', {
    perturbation: number("Half the distance between a probe's two points, as a share of the knob's range.", {
      min: 0.001,
      max: 0.5,
    }).default(ENGINE.probe.perturbation),
    pairsPerProof: integer('Probe pairs between two proofs.', { min: 1, max: 1_000 }).default(
      ENGINE.probe.pairsPerProof,
    ),
  }).prefault({}),
  cooldown: section('Pause after a failed trial; doubles with each failure in a row.', {
    windows: integer('Windows after the first failure.', { min: 0, max: 1_000_000 }).default(ENGINE.cooldown.windows),
    maxWindows: integer('Most windows.', { min: 0, max: 1_000_000 }).default(ENGINE.cooldown.maxWindows),
  }).prefault({}),
  tiers: section('What each tier allows.', {
    critical: tierPolicy('critical', 'No harm tolerated: recommend, and roll back.'),
    stable: tierPolicy('stable', 'Little.'),
    advanced: tierPolicy('advanced', 'Some.'),
    experimental: tierPolicy('experimental', 'More.'),
    research: tierPolicy('research', 'Most.'),
  }).prefault({}),
}).prefault({});

const capacity = section('What is kept in memory; beyond it, dropped and counted.', {
  maxComponents: integer('Components.', { min: 1, max: 10_000 }).default(ENGINE.capacity.maxComponents),
  maxQueuedPoints: integer('Data points that wait for the engine; beyond, a sender is asked to come back.', {
    min: 1_000,
    max: 10_000_000,
  }).default(200_000),
  maxSeries: integer('Metric series.', { min: 1, max: 1_000_000 }).default(ENGINE.capacity.maxSeries),
}).prefault({});

export const configSchema = z.strictObject({
  monitoring,
  optimization,
  analytics,
  debug: flag('Log at level debug.').default(false),
  thresholds,
  resources,
  alerts,
  gpu,
  receivers,
  upstream,
  control,
  flags,
  state,
  web,
  telemetry,
  log: section('The log: one JSON object a line on standard error.', {
    level: choice('The least severe level that is written.', [
      'trace',
      'debug',
      'info',
      'warn',
      'error',
      'fatal',
      'silent',
    ]).default('info'),
  }).prefault({}),
  components: z
    .record(z.string().regex(NAME), componentPolicy)
    .default({})
    .meta({
      description: 'What is different for single components, by `service.name`.',
      allowed: 'a mapping of component names',
      example: {
        embedder: {
          tier: 'stable',
          mode: 'approve',
          knobs: { batch_size: { max: 32 } },
          limits: { errorRatio: 0.005 },
        },
      },
    }),
  signals: z
    .array(signalRow)
    .max(1_000)
    .default([])
    .meta({
      description: 'What metrics mean, before the defaults: the OpenTelemetry names are known without a row here.',
      allowed: 'a list of at most 1000 rows, each with metric and signal',
      example: [
        { metric: 'my_server_latency', signal: 'responseTime', unit: 'ms' },
        { metric: 'my_server_waiting', signal: 'queueDepth' },
        { metric: 'http.server.request.duration', signal: 'ignore' },
      ],
    }),
  tuning,
  capacity,
});

type Frozen<T> = T extends readonly (infer E)[]
  ? readonly Frozen<E>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/** The whole configuration: complete, validated, deeply frozen. Durations are milliseconds, sizes are bytes. */
export type Config = Frozen<z.output<typeof configSchema>>;
export type LogLevel = Config['log']['level'];
