import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LINE_LIMITS, readLine } from '../../agent/adapters/prometheus/line.ts';
import type { Readings } from '../../agent/adapters/readings/readings.ts';
import { StepTimes } from '../../agent/adapters/readings/step_times.ts';
import { type Family, negotiate, renderMetrics } from '../../agent/adapters/web/exposition.ts';
import { ownFamilies } from '../../agent/adapters/web/families.ts';

const families: readonly Family[] = [
  { name: 'a_build', type: 'info', help: 'The version.', values: [{ labels: { version: '1.2.3' } }] },
  {
    name: 'a_sent_bytes',
    type: 'counter',
    unit: 'bytes',
    help: 'Back\\slash,\nnew line and "quotes".',
    values: [{ labels: { path: 'C:\\x "y"\nz' }, value: 3 }, { value: 1e21 }],
  },
  { name: 'a_level', type: 'gauge', help: 'Level.', values: [{ value: -0.5 }, { value: Number.NEGATIVE_INFINITY }] },
  {
    name: 'a_wait_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Waiting.',
    values: [{ bounds: [0.1, 1], counts: [2, 0, 5], sum: 7.5 }],
  },
];

describe('the page', () => {
  it('in the text format', () => {
    expect(renderMetrics(families, 'text')).toBe(`# HELP a_build_info The version.
# TYPE a_build_info gauge
a_build_info{version="1.2.3"} 1
# HELP a_sent_bytes_total Back\\\\slash,\\nnew line and "quotes".
# TYPE a_sent_bytes_total counter
a_sent_bytes_total{path="C:\\\\x \\"y\\"\\nz"} 3
a_sent_bytes_total 1e+21
# HELP a_level Level.
# TYPE a_level gauge
a_level -0.5
a_level -Inf
# HELP a_wait_seconds Waiting.
# TYPE a_wait_seconds histogram
a_wait_seconds_bucket{le="0.1"} 2
a_wait_seconds_bucket{le="1.0"} 2
a_wait_seconds_bucket{le="+Inf"} 7
a_wait_seconds_sum 7.5
a_wait_seconds_count 7
`);
  });

  it('in OpenMetrics: families without suffixes, units, an end', () => {
    const page = renderMetrics(families, 'openmetrics');
    expect(page).toContain('# TYPE a_build info\na_build_info{version="1.2.3"} 1\n');
    expect(page).toContain(
      '# HELP a_sent_bytes Back\\\\slash,\\nnew line and \\"quotes\\".\n# TYPE a_sent_bytes counter\n# UNIT a_sent_bytes bytes\na_sent_bytes_total',
    );
    expect(page.endsWith('\n# EOF\n')).toBe(true);
  });

  it('is read back by our own reader of such pages, whatever labels hold', () => {
    const labels = fc.dictionary(
      fc.stringMatching(/^[a-z][a-z0-9_]{0,10}$/),
      // An empty label is the same as none.
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
    );
    const value = fc.double({ noNaN: true }).map((n) => n + 0);
    fc.assert(
      fc.property(labels, value, fc.constantFrom('text' as const, 'openmetrics' as const), (given, number, format) => {
        const page = renderMetrics(
          [{ name: 'm', type: 'gauge', help: '', values: [{ labels: given, value: number }] }],
          format,
        );
        const line = page.split('\n').find((text) => text.startsWith('m')) ?? '';
        const read = readLine(line, format, { ...DEFAULT_LINE_LIMITS, maxLabelValueLength: 1_000 });
        expect(read).toMatchObject({ name: 'm', value: number });
        expect(Object.fromEntries('labels' in read ? read.labels : [])).toEqual({ ...given });
      }),
    );
  });
});

describe('own metrics', () => {
  const steps = new StepTimes();
  for (const ms of [0.05, 0.1, 0.3, 5_000]) steps.record(ms);
  const readings: Readings = {
    version: '1',
    startedMs: 1_500,
    pointsAccepted: 7,
    pointsRejected: { no_time: 1 },
    pointsDropped: { unmapped: 2 },
    inboxDepth: 3,
    decisions: { promoted: 4 },
    sessions: 1,
    components: 2,
    series: 5,
    clockSteps: 0,
    insights: { found: { anomaly: 6 }, openAnomalies: 2, paused: 1, series: 20, refusedSeries: 0 },
    audits: { chat: { runs: 20, accepts: 1, low: 0.009, high: 0.24 } },
    residentBytes: 1e8,
    cpuSeconds: { user: 1.5, system: 0.25 },
    loop: { activeSeconds: 1, idleSeconds: 9 },
    loopDelaySeconds: { p50: 0.001, p99: 0.01, max: 0.1 },
    alerts: {
      ...{ open: 1, opened: 3, resolved: 2, delayed: 0, dropped: 0 },
      webhook: { queued: 0, delivered: 4, retries: 1, dropped: { full: 1 } },
    },
    recommendations: { open: 2, dropped: 0 },
    cgroups: { applied: 0, writes: 0, refused: 0, overruled: 0 },
    upstream: {
      metrics: {
        queuedRequests: 1,
        queuedBytes: 100,
        accepted: 10,
        acceptedBytes: 1_000,
        delivered: 8,
        deliveredBytes: 800,
        retries: 2,
        possibleDuplicates: 0,
        rejectedByUpstream: 0,
        unsaved: 0,
        dropped: { queue_full: 1 },
      },
    },
  };

  it('carries what own telemetry carries, under the names that OpenTelemetry gives it in Prometheus', () => {
    const page = renderMetrics(ownFamilies(readings, steps.read()), 'text');
    for (const line of [
      'performance_optimizer_points_accepted_total 7',
      'performance_optimizer_points_rejected_total{reason="no_time"} 1',
      'performance_optimizer_points_dropped_total{reason="unmapped"} 2',
      'performance_optimizer_decisions_total{kind="promoted"} 4',
      'performance_optimizer_audit_runs_total{component="chat"} 20',
      'performance_optimizer_audit_false_accepts_total{component="chat"} 1',
      'performance_optimizer_audit_false_accept_ratio{component="chat",end="high"} 0.24',
      'performance_optimizer_inbox_depth 3',
      'performance_optimizer_sessions 1',
      'performance_optimizer_components 2',
      'performance_optimizer_series 5',
      'performance_optimizer_clock_steps_total 0',
      'performance_optimizer_insights_total{kind="anomaly"} 6',
      'performance_optimizer_anomalies_open 2',
      'performance_optimizer_components_paused 1',
      'performance_optimizer_step_duration_seconds_bucket{le="0.0001"} 2',
      'performance_optimizer_step_duration_seconds_bucket{le="1.0"} 3',
      'performance_optimizer_step_duration_seconds_bucket{le="+Inf"} 4',
      'performance_optimizer_upstream_dropped_total{signal="metrics",reason="queue_full"} 1',
      'process_memory_usage_bytes 100000000',
      'process_cpu_time_seconds_total{cpu_mode="system"} 0.25',
      'process_start_time_seconds 1.5',
    ]) {
      expect(page.split('\n')).toContain(line);
    }
  });

  it('keeps the rules of both formats: names once, units at their ends, no suffix that a type adds', () => {
    const all = ownFamilies(readings, steps.read());
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { name, unit, help } of all) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(name).not.toMatch(/_(?:total|info|bucket|count|sum)$/);
      if (unit !== undefined) expect(name.endsWith(`_${unit}`)).toBe(true);
      expect(help.endsWith('.')).toBe(true);
    }
  });
});

describe('content negotiation', () => {
  it.each([
    [undefined, 'text'],
    ['*/*', 'text'],
    ['text/plain', 'text'],
    ['application/openmetrics-text', 'openmetrics'],
    // Prometheus 2.
    [
      'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1',
      'openmetrics',
    ],
    // Prometheus 3.
    [
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2',
      'openmetrics',
    ],
    ['text/plain;q=1, application/openmetrics-text;q=0.9', 'text'],
    ['application/openmetrics-text; version="1.0.0"', 'openmetrics'],
    ['application/openmetrics-text; version=2.0.0', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    ['APPLICATION/OPENMETRICS-TEXT', 'openmetrics'],
    [',;q=,=;', 'text'],
  ] as const)('%s', (accept, format) => {
    expect(negotiate(accept)).toBe(format);
  });
});
