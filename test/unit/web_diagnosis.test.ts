import { describe, expect, it } from 'vitest';
import type { ComponentStatus, Status, TuningStatus } from '../../agent/adapters/web/status.ts';
import { diagnose, span } from '../../agent/command/diagnosis.ts';
import { statusWith } from './web_status.ts';

const base = statusWith({});
const tuning: TuningStatus = {
  connected: true,
  tier: 'stable',
  phase: 'reference',
  knobs: [{ knob: 'batch', mode: 'auto', pinned: false, value: 8 }],
  audit: { runs: 0, accepts: 0, low: 0, high: 1, levelFactor: 1 },
};
const chat: ComponentStatus = {
  component: 'chat',
  measuredAtMs: 990_000,
  responseTimeMs: 120.123,
  requestsPerSecond: 40,
  tuning,
};
const receiving = { ...base.receiver, requests: 10, pointsAccepted: 100 };
const well: Partial<Status> = { receiver: receiving, components: [chat] };

function found(change: Partial<Status>, level: 'note' | 'problem'): string[] {
  return diagnose(statusWith(change))
    .filter((finding) => finding.level === level)
    .map(({ what, next }) => (next === undefined ? what : `${what} → ${next}`));
}

function component(change: Partial<ComponentStatus>): Partial<Status> {
  return { ...well, components: [{ ...chat, ...change }] };
}

describe('diagnosis', () => {
  it('has nothing to say about an agent that is well', () => {
    expect(diagnose(statusWith(well))).toEqual([
      { level: 'ok', what: 'The agent 1.2.3 has been running for 10 s.' },
      { level: 'ok', what: '10 requests with 100 data points have arrived at 127.0.0.1:4317 (grpc).' },
      { level: 'ok', what: 'chat: observed at 40 requests/s, 120.1 ms on average.' },
      { level: 'ok', what: 'chat: connected, reference; 1 knobs.' },
    ]);
  });

  it('nothing arrives: a note at first, a problem later, and how to send', () => {
    const [early = ''] = found({}, 'note');
    expect(early).toMatch(/^Nothing has arrived at 127.0.0.1:4317 \(grpc\) yet, 10 s after the start/);
    expect(early).toContain('OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc');
    const [late = ''] = found({ startedMs: 0 }, 'problem');
    expect(late).toMatch(/^Nothing has arrived at .* in the 17 min since the start/);
    const overHttp = { ...base.receiver, addresses: { grpc: null, http: '127.0.0.1:4318' } };
    expect(found({ startedMs: 0, receiver: overHttp }, 'problem')[0]).toContain('PROTOCOL=http/protobuf');
    const none = { ...base.receiver, addresses: { grpc: null, http: null } };
    expect(found({ receiver: none }, 'problem')[0]).toContain('No receiver is listening');
  });

  it('traces without metrics, and nothing behind the agent', () => {
    const problems = found({ receiver: { ...base.receiver, tracesDropped: 5 } }, 'problem');
    expect(problems[0]).toContain('OTEL_METRICS_EXPORTER=otlp');
    expect(problems[1]).toContain('Set upstream.endpoint');
  });

  it('metrics that mean nothing', () => {
    expect(found({ receiver: receiving }, 'problem')).toEqual([
      expect.stringMatching(/^100 data points arrived, and none is of a metric that means something.*`signals`/),
    ]);
  });

  it.each([
    [
      { ...well, receiver: { ...receiving, requestsRefused: { undecodable: 3, stopping: 9 } } },
      /^3 requests were refused: no OTLP/,
    ],
    [
      { ...well, receiver: { ...receiving, requestsRefused: { internal: 1 } } },
      /^1 requests were refused: a defect of the agent/,
    ],
    [{ ...well, engine: { ...base.engine, halted: 'assertion x' } }, /stopped for good: assertion x/],
    [{ ...well, engine: { ...base.engine, frozen: 'by ann' } }, /All tuning is frozen: by ann.*perfopt unfreeze/],
    [{ ...well, engine: { ...base.engine, tuning: false } }, /optimization.enabled/],
    [{ ...well, engine: { ...base.engine, series: 10_000 } }, /limit of 10000 metric series.*capacity.maxSeries/],
    [{ ...well, engine: { ...base.engine, monitoring: false } }, /monitoring.enabled is false/],
    [{ ...well, journal: { path: 'p.db', unsavedDecisions: 4 } }, /4 decisions cannot be written to p.db/],
    [component({ tuning: { ...tuning, connected: false } }), /control session is closed.*127.0.0.1:4319/],
    [component({ tuning: { ...tuning, frozen: 'because' } }), /chat: tuning is frozen: because/],
    [component({ paused: 'queueDepth is 90' }), /while an anomaly is open: queueDepth is 90.*perfopt anomalies chat/],
    [component({ tuning: { ...tuning, knobs: [] } }), /declares no knob/],
    [
      component({ tuning: { ...tuning, knobs: [{ knob: 'b', mode: 'auto', pinned: true, value: 1 }] } }),
      /every knob is pinned or only observed.*perfopt mode chat auto/,
    ],
    [component({ measuredAtMs: 0 }), /last request that telemetry speaks of was 17 min ago/],
    [{ ...well, components: [{ component: 'chat', tuning }] }, /no response times are known.*service.name=chat/],
    [{ ...well, components: [{ component: 'chat', measuredAtMs: 990_000 }] }, /declared no knobs/],
  ] satisfies [Partial<Status>, RegExp][])('problem %#', (change, words) => {
    expect(found(change, 'problem')).toEqual([expect.stringMatching(words)]);
  });

  it.each([
    [
      { ...well, receiver: { ...receiving, pointsRejected: { no_time: 2, series_limit: 0 } } },
      /rejected.*: 2 no time\./,
    ],
    [component({ tuning: { ...tuning, proposal: 'p-1' } }), /perfopt approve p-1/],
    [
      component({
        tuning: { ...tuning, tier: 'critical', knobs: [{ knob: 'b', mode: 'recommend', pinned: false, value: 1 }] },
      }),
      /tier critical.*recommend, not apply/,
    ],
    [component({ requestsPerSecond: 0.5 }), /0.5 requests\/s are few: a window wants 200/],
    [{ ...well, sampler: { samples: 9, failures: 2 } }, /2 readings of host or process failed/],
  ] satisfies [Partial<Status>, RegExp][])('note %#', (change, words) => {
    expect(found(change, 'problem')).toEqual([]);
    expect(found(change, 'note')).toEqual([expect.stringMatching(words)]);
  });

  it('an upstream that is away, drops, and a disk that refuses', () => {
    const counters = {
      accepted: 9,
      delivered: 2,
      retries: 5,
      possibleDuplicates: 0,
      rejectedByUpstream: 0,
      unsaved: 0,
      dropped: { queue_full: 3 },
    };
    const upstream = {
      endpoint: 'http://c:4317',
      protocol: 'grpc',
      queue: 'disk' as const,
      diskProblem: 'no space',
      signals: {
        metrics: {
          delivery: { state: 'waiting' as const, failures: 5, why: 'refused', untilMs: 0 },
          queued: { requests: 4, bytes: 1 },
          counters,
        },
        logs: {
          delivery: { state: 'idle' as const },
          queued: { requests: 0, bytes: 0 },
          counters: { ...counters, dropped: {} },
        },
      },
    };
    expect(found({ ...well, upstream }, 'problem')).toEqual([
      expect.stringMatching(
        /^The upstream http:\/\/c:4317 does not take metrics \(5 attempts\): refused; 4 requests wait/,
      ),
      expect.stringMatching(/^Requests with metrics never reached the upstream: 3 queue full/),
      expect.stringMatching(/cannot be written \(no space\)/),
    ]);
  });

  it('says times as a human would', () => {
    expect([0, 59_400, 119_000, 600_000, 7_200_000, 3 * 86_400_000].map(span)).toEqual([
      '0 s',
      '59 s',
      '119 s',
      '10 min',
      '2 h',
      '3 days',
    ]);
  });

  it('says what alerts are open, what the webhook did not get, and that cgroups were refused', () => {
    const alert = {
      id: 'a',
      kind: 'health',
      component: 'chat',
      severity: 'high',
      summary: 'chat is unhealthy',
      sinceMs: 0,
    };
    const change: Partial<Status> = {
      ...well,
      alerts: {
        ...{ open: new Array(12).fill(alert), opened: 12, resolved: 0, delayed: 0, dropped: 0 },
        webhook: { queued: 0, delivered: 1, retries: 9, dropped: { full: 0, failed: 2, refused: 1, stopped: 0 } },
      },
      cgroups: { applied: 0, writes: 0, refused: 3, overruled: 0 },
    };
    expect(found(change, 'problem')).toEqual([
      ...new Array(10).fill('chat is unhealthy. → See `perfopt recommendations chat`.'),
      '3 notices could not be delivered to the alert webhook. → Check alerts.webhook.url and its headers; the log says what it answered.',
    ]);
    expect(found(change, 'note')).toContain('Cgroup limits were refused 3 times. → The log says which and why.');
  });
});
