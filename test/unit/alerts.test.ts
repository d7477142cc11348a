import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { AlertBook, type AlertSettings, type Notice } from '../../agent/core/alerts/alert-book.ts';
import { type AlertFacts, type Condition, conditionsOf } from '../../agent/core/alerts/condition.ts';
import { summaryOf } from '../../agent/core/alerts/summary.ts';
import { SEVERITIES } from '../../agent/core/detect/anomaly.ts';
import type { CapacityReport } from '../../agent/core/forecast/capacity.ts';
import type { Health } from '../../agent/core/health.ts';
import type { ObservedAnomaly } from '../../agent/core/insight/finding.ts';
import type { Decision } from '../../agent/core/model.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SETTINGS: AlertSettings = { holdMs: MINUTE, resolveMs: 5 * MINUTE, repeatMs: 4 * HOUR, maxPerHour: 30 };

function condition(fields: Partial<Condition> = {}): Condition {
  return {
    ...{ key: 'health chat', kind: 'health', component: 'chat', severity: 'high', summary: 'chat is unhealthy' },
    signals: {},
    ...fields,
  };
}

function unwell(status: 'degraded' | 'unhealthy', score: number): Health {
  return { status, score, worst: 'responseTime', parts: { responseTime: score } };
}

function anomaly(fields: Partial<ObservedAnomaly> = {}): ObservedAnomaly {
  return {
    ...{ id: 'a1', component: 'chat', state: 'open', metric: 'queueDepth', kind: 'value', value: 40 },
    ...{ expectedRange: { low: 0, high: 9 }, severity: 'high', sinceMs: 0, atMs: 0, surprise: 7, bar: 5 },
    ...{ channel: 'level', explanation: 'queueDepth is 40, above the expected 0 to 9' },
    ...fields,
  };
}

const statuses = (notices: readonly Notice[]): readonly string[] => notices.map(({ status }) => status);

describe('conditions', () => {
  const rules = { health: 'unhealthy', anomaly: 'high', slo: true, forecastWithinMs: 24 * HOUR } as const;
  const facts = (fields: Partial<AlertFacts>): AlertFacts => ({
    ...{ component: 'chat', health: { status: 'unknown' }, anomalies: [] },
    ...fields,
  });

  test('are none where nothing is known, or all is well', () => {
    expect(conditionsOf(facts({}), rules)).toEqual([]);
    const well: Health = { status: 'healthy', score: 0.9, worst: 'cpu', parts: { cpu: 0.9 } };
    expect(conditionsOf(facts({ health: well }), rules)).toEqual([]);
  });

  test('follow the rules: from which status and severity on, or never', () => {
    const bad = facts({ health: unwell('degraded', 0.7), anomalies: [anomaly({ severity: 'medium' })], burning: 'x' });
    expect(conditionsOf(bad, rules).map(({ kind }) => kind)).toEqual(['slo']);
    const strict = { ...rules, health: 'degraded', anomaly: 'medium' } as const;
    expect(conditionsOf(bad, strict).map(({ kind, severity }) => [kind, severity])).toEqual([
      ['health', 'medium'],
      ['anomaly', 'medium'],
      ['slo', 'critical'],
    ]);
    expect(conditionsOf(bad, { slo: false })).toEqual([]);
  });

  test('leave out anomalies that somebody has seen', () => {
    expect(conditionsOf(facts({ anomalies: [anomaly()] }), rules)).toMatchObject([
      { key: 'anomaly chat queueDepth', summary: 'chat: queueDepth is 40, above the expected 0 to 9' },
    ]);
    expect(conditionsOf(facts({ anomalies: [anomaly({ acknowledgedBy: 'ada' })] }), rules)).toEqual([]);
  });

  test('say when a limit will be reached, if it is soon and even the lucky path ends there', () => {
    const capacity: CapacityReport = {
      ...{ component: 'chat', atMs: 0, horizonMs: 0 },
      metrics: [
        {
          ...{ metric: 'memoryMiB', unit: 'MiB', now: 700, limit: { value: 1_000, side: 'above' } },
          breach: { soonestMs: HOUR, expectedMs: 2 * HOUR, latestMs: 5 * HOUR },
        },
      ],
    };
    expect(conditionsOf(facts({ capacity }), rules)).toMatchObject([
      {
        ...{ kind: 'forecast', key: 'forecast chat memoryMiB' },
        summary: 'chat: memoryMiB will reach its limit of 1000 in about 2 h',
      },
    ]);
    expect(conditionsOf(facts({ capacity }), { ...rules, forecastWithinMs: HOUR })).toEqual([]);
  });
});

describe('the alert book', () => {
  test('opens what has held, says it once, and that it is over', () => {
    const book = new AlertBook(SETTINGS, 'al7');
    expect(book.look(0, [condition()])).toEqual([]);
    expect(book.open).toEqual([]);
    const [opened, ...others] = book.look(MINUTE, [condition()]);
    expect(others).toEqual([]);
    expect(opened).toMatchObject({
      status: 'opened',
      atMs: MINUTE,
      alert: { id: 'al7-1', sinceMs: 0, severity: 'high' },
    });
    expect(book.look(2 * MINUTE, [condition({ summary: 'chat is unhealthy still' })])).toEqual([]);
    expect(book.open).toMatchObject([{ id: 'al7-1', summary: 'chat is unhealthy still' }]);
    expect(book.look(6 * MINUTE, [])).toEqual([]);
    expect(statuses(book.look(8 * MINUTE, []))).toEqual(['resolved']);
    expect(book.open).toEqual([]);
    expect(book.counts).toEqual({ opened: 1, resolved: 1, delayed: 0, dropped: 0 });
  });

  test('never flaps: what comes and goes is said once, or not at all', () => {
    const brief = new AlertBook(SETTINGS, 'a');
    for (let t = 0; t < HOUR; t += 3 * MINUTE) {
      expect(brief.look(t, [condition()])).toEqual([]);
      expect(brief.look(t + 2 * MINUTE, [])).toEqual([]);
    }
    const long = new AlertBook(SETTINGS, 'a');
    const said: string[] = [];
    for (let t = 0; t < HOUR; t += MINUTE / 2)
      said.push(...statuses(long.look(t, t % (4 * MINUTE) < 3 * MINUTE ? [condition()] : [])));
    expect(said).toEqual(['opened']);
  });

  test('says when it gets worse, and again when it lasts', () => {
    const book = new AlertBook({ ...SETTINGS, holdMs: 0 }, 'a');
    const said: string[] = [];
    const at = (hours: number, severity: Condition['severity']) =>
      said.push(...statuses(book.look(hours * HOUR, [condition({ severity })])));
    at(0, 'medium');
    at(1, 'critical');
    at(2, 'medium');
    at(3, 'critical');
    at(4.9, 'medium');
    at(5.1, 'medium');
    expect(said).toEqual(['opened', 'escalated', 'reminder']);
    const once = new AlertBook({ holdMs: 0, resolveMs: 0, maxPerHour: 30 }, 'a');
    expect(statuses(once.look(0, [condition()]))).toEqual(['opened']);
    expect(once.look(100 * HOUR, [condition()])).toEqual([]);
  });

  test('says no more than one wants to read; the rest later, if it still holds', () => {
    const book = new AlertBook({ ...SETTINGS, holdMs: 0, maxPerHour: 2 }, 'a');
    const all = [1, 2, 3, 4].map((n) => condition({ key: `k${n}` }));
    expect(book.look(0, all)).toHaveLength(2);
    expect(book.open).toHaveLength(2);
    // Nobody was told of the fourth, so nobody is told that it is over; the third has waited.
    const still = all.slice(0, 3);
    for (let t = MINUTE; t < HOUR; t += MINUTE) expect(book.look(t, still)).toEqual([]);
    expect(book.look(HOUR + MINUTE, still)).toMatchObject([{ status: 'opened', alert: { key: 'k3' } }]);
    expect(book.counts.delayed).toBeGreaterThan(0);
  });

  it('tells of each alert in order, never more than the rate, and loses nothing that lasts', () => {
    const keys = ['a', 'b', 'c'];
    const step = fc.record({
      passedMs: fc.integer({ min: -HOUR, max: HOUR }),
      there: fc.subarray(keys),
      severity: fc.constantFrom(...SEVERITIES),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, maxPerHour) => {
        const book = new AlertBook({ ...SETTINGS, maxPerHour }, 'a');
        const state = new Map<string, string>();
        let nowMs = 1e12;
        for (const { passedMs, there, severity } of steps) {
          nowMs += passedMs;
          const notices = book.look(
            nowMs,
            there.map((key) => condition({ key, severity })),
          );
          expect(notices.filter(({ status }) => status !== 'resolved').length).toBeLessThanOrEqual(maxPerHour);
          for (const { status, alert } of notices) {
            const before = state.get(alert.id) ?? 'new';
            expect(before === 'new' ? status === 'opened' : before !== 'resolved' && status !== 'opened').toBe(true);
            state.set(alert.id, status);
          }
        }
        const open = [...state].filter(([, status]) => status !== 'resolved').map(([id]) => id);
        expect(book.open.map(({ id }) => id).sort()).toEqual(open.sort());
        nowMs += 24 * HOUR;
        const last = book.look(
          nowMs,
          keys.slice(0, 1).map((key) => condition({ key, severity: 'critical' })),
        );
        const told = book.open.some(({ key }) => key === 'a');
        const next = book.look(nowMs + 2 * MINUTE, [condition({ key: 'a', severity: 'critical' })]);
        expect(told || [...last, ...next].some(({ alert }) => alert.key === 'a')).toBe(true);
      }),
    );
  });
});

describe('the summary', () => {
  const decision = (kind: Decision['kind'], estimate?: number): Decision => ({
    ...{ id: kind, atMs: 1, component: 'chat', kind, changes: [], reason: '' },
    ...(estimate !== undefined && {
      evidence: {
        ...{ objective: {}, blocks: [], signals: {}, alternatives: [] },
        effect: { estimate, low: estimate, high: estimate, confidence: 0.9, blocks: 6 },
      },
    }),
  });

  test('says what was tried and kept, what it gained, and how things are', () => {
    const { components, text } = summaryOf({
      ...{ atMs: 2, fromMs: 0, recommendations: 1, alerts: 0 },
      components: [
        {
          ...{ component: 'chat', health: unwell('degraded', 0.7) },
          profile: {
            ...{ component: 'chat', atMs: 2, windowMs: 1, resources: {} },
            metrics: {
              responseTime: { current: 80, average: 80, p95: 210.4, count: 9 },
              throughput: { current: 12, average: 12.34, peak: 20 },
              errorRate: 0.001,
            },
            optimization: { lastOptimized: 0, optimizations: 0 },
          },
        },
        { component: 'idle', health: { status: 'unknown' } },
      ],
      decisions: [
        decision('trial_started'),
        decision('promoted', -0.2),
        decision('promoted', -0.1),
        decision('rolled_back'),
      ],
    });
    expect(components[0]).toMatchObject({ tried: 1, kept: 2, rolledBack: 1, gained: expect.closeTo(0.28, 12) });
    expect(components[1]).toEqual({ component: 'idle', health: 'unknown', tried: 0, kept: 0, rolledBack: 0 });
    expect(text.split('\n')).toEqual([
      '0 open alerts, 1 recommendation',
      'chat: degraded, p95 210 ms, 12.3 requests/s, 0.1 % errors, 1 trial, 2 kept, 1 rolled back, objective 28 % lower',
      'idle: unknown, 0 trials, 0 kept, 0 rolled back',
    ]);
  });
});
