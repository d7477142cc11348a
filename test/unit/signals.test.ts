import { describe, expect, it } from 'vitest';
import type { AttributeValue, Series } from '../../agent/core/model.ts';
import { outcomeOf } from '../../agent/core/outcome.ts';
import { DEFAULT_MAPPINGS, Precedence, SignalMapper, type SignalMapping } from '../../agent/core/signals.ts';

let nextId = 0;
function series(
  name: string,
  kind: Series['kind'],
  unit = '',
  attributes: Record<string, AttributeValue> = {},
  more: { monotonic?: boolean; resource?: Record<string, AttributeValue> } = {},
): Series {
  return {
    id: nextId++,
    name,
    unit,
    kind,
    monotonic: more.monotonic ?? kind === 'sum',
    scope: '',
    resource: new Map(Object.entries(more.resource ?? { 'service.name': 'chat' })),
    attributes: new Map(Object.entries(attributes)),
  };
}
const defaults = new SignalMapper(DEFAULT_MAPPINGS);
const outcome = (attributes: Record<string, AttributeValue>) => outcomeOf(new Map(Object.entries(attributes)));

describe('default mappings', () => {
  it.each([
    ['gen_ai.server.request.duration', 's', 1_000],
    ['http.server.request.duration', 's', 1_000],
    ['http.server.duration', 'ms', 1],
    ['rpc.server.call.duration', 's', 1_000],
    ['rpc.server.duration', 'ms', 1],
    // No unit: what the convention of that name says.
    ['http.server.request.duration', '', 1_000],
    ['http.server.duration', '', 1],
    ['rpc.server.duration', '', 1],
    // The series' own unit is believed before the convention's.
    ['rpc.server.duration', 's', 1_000],
    ['http.server.request.duration', 'us', 1e-3],
    ['http.server.request.duration', 'ns', 1e-6],
  ])('%s in "%s" is a response time of %d ms a unit', (name, unit, msPerUnit) => {
    expect(defaults.roleOf(series(name, 'histogram', unit))).toMatchObject({
      signal: 'responseTime',
      outcome: 'ok',
      msPerUnit,
      source: name,
    });
  });

  it('prefers the view nearest to the model', () => {
    const rank = (name: string) => defaults.roleOf(series(name, 'histogram', 's'))!.rank;
    const names = [
      'gen_ai.server.request.duration',
      'http.server.request.duration',
      'http.server.duration',
      'rpc.server.call.duration',
      'rpc.server.duration',
      'gen_ai.client.operation.duration',
    ];
    expect(names.toSorted((a, b) => rank(a) - rank(b))).toEqual(names);
    expect(new Set(names.map(rank)).size).toBe(names.length);
  });

  it('tells input from output tokens, and takes neither from an unknown kind', () => {
    const role = (type: string) =>
      defaults.roleOf(series('gen_ai.client.token.usage', 'histogram', '{token}', { 'gen_ai.token.type': type }));
    expect(role('input')).toMatchObject({ signal: 'tokens', direction: 'input' });
    expect(role('output')).toMatchObject({ signal: 'tokens', direction: 'output' });
    expect(role('cached')).toBeUndefined();
  });

  it('takes busy CPU modes and leaves idle ones, in both spellings', () => {
    const role = (attributes: Record<string, string>) =>
      defaults.roleOf(series('system.cpu.utilization', 'gauge', '1', attributes));
    expect(role({ 'cpu.mode': 'user', 'cpu.logical_number': '3' })).toMatchObject({
      signal: 'resource',
      resource: 'cpu',
      scope: 'host',
      measure: 'utilization',
      device: '3',
    });
    expect(role({ state: 'system', cpu: 'cpu0' })).toMatchObject({ device: 'cpu0' });
    expect(role({ 'cpu.mode': 'idle' })).toBeUndefined();
    expect(role({ 'cpu.mode': 'iowait' })).toBeUndefined();
    expect(role({ state: 'idle' })).toBeUndefined();
  });

  it('takes used memory only', () => {
    const role = (state: string) =>
      defaults.roleOf(
        series('system.memory.usage', 'sum', 'By', { 'system.memory.state': state }, { monotonic: false }),
      );
    expect(role('used')).toMatchObject({ resource: 'memory', measure: 'usage', scale: 1 });
    expect(role('cached')).toBeUndefined();
    expect(role('free')).toBeUndefined();
  });

  it('converts percent and memory units', () => {
    expect(defaults.roleOf(series('hw.gpu.utilization', 'gauge', '%'))).toMatchObject({ scale: 0.01 });
    expect(defaults.roleOf(series('process.memory.usage', 'gauge', 'MiBy'))).toMatchObject({ scale: 2 ** 20 });
    expect(defaults.roleOf(series('process.cpu.time', 'sum', 'ms'))).toMatchObject({ scale: 1e-3, measure: 'time' });
  });

  it('does not take a metric whose kind does not fit its name', () => {
    expect(defaults.roleOf(series('http.server.request.duration', 'gauge', 's'))).toBeUndefined();
    expect(defaults.roleOf(series('process.memory.usage', 'sum', 'By'))).toBeUndefined();
    expect(defaults.roleOf(series('process.cpu.time', 'gauge', 's'))).toBeUndefined();
    expect(defaults.roleOf(series('something.else', 'gauge', 's'))).toBeUndefined();
  });

  it("never takes a sender's overflow series", () => {
    const overflow = series('http.server.request.duration', 'histogram', 's', { 'otel.metric.overflow': true });
    expect(defaults.roleOf(overflow)).toBeUndefined();
  });
});

describe('outcome', () => {
  it.each<[Record<string, AttributeValue>, 'ok' | 'error']>([
    [{}, 'ok'],
    [{ 'http.response.status_code': 200 }, 'ok'],
    [{ 'http.response.status_code': 404 }, 'ok'],
    [{ 'http.response.status_code': 500 }, 'error'],
    [{ 'http.response.status_code': 503n }, 'error'],
    [{ 'http.status_code': '502' }, 'error'],
    // Load turned away, and deadlines that passed.
    [{ 'http.response.status_code': 429 }, 'error'],
    [{ 'http.response.status_code': 408 }, 'error'],
    [{ 'http.response.status_code': 499 }, 'error'],
    [{ 'http.response.status_code': 404, 'error.type': '404' }, 'ok'],
    // A stream that broke after its status was sent.
    [{ 'http.response.status_code': 200, 'error.type': 'ECONNRESET' }, 'error'],
    [{ 'error.type': 'timeout' }, 'error'],
    [{ 'error.type': '' }, 'ok'],
    [{ 'rpc.grpc.status_code': 0 }, 'ok'],
    [{ 'rpc.grpc.status_code': 4 }, 'error'],
    [{ 'rpc.grpc.status_code': 8 }, 'error'],
    [{ 'rpc.grpc.status_code': 5 }, 'ok'],
    [{ 'rpc.response.status_code': 'OK' }, 'ok'],
    [{ 'rpc.response.status_code': 'DEADLINE_EXCEEDED' }, 'error'],
    [{ 'rpc.response.status_code': 'CANCELLED' }, 'error'],
    [{ 'rpc.response.status_code': 'INVALID_ARGUMENT' }, 'ok'],
  ])('%o is %s', (attributes, expected) => {
    expect(outcome(attributes)).toBe(expected);
  });
});

describe('configured mappings', () => {
  const own: SignalMapping[] = [
    { metric: 'http.server.request.duration', signal: 'ignore', rank: 0 },
    {
      metric: 'shop.*.latency',
      signal: 'responseTime',
      unit: 'ms',
      rank: 1,
      where: { route: ['/predict'] },
      outcome: { attribute: 'result', errorValues: ['failed', ''] },
    },
    { metric: 'shop.requests', signal: 'requests', rank: 1, outcome: 'error' },
    { metric: 'shop.backlog', signal: 'queueDepth', rank: 1, scale: 10 },
  ];
  const mapper = new SignalMapper([...own, ...DEFAULT_MAPPINGS]);

  it('override a default', () => {
    expect(mapper.roleOf(series('http.server.request.duration', 'histogram', 's'))).toBeUndefined();
    expect(mapper.roleOf(series('gen_ai.server.request.duration', 'histogram', 's'))).toBeDefined();
  });

  it('match by pattern and attribute, with their own rule for failures', () => {
    const role = (attributes: Record<string, string>, name = 'shop.eu.latency') =>
      mapper.roleOf(series(name, 'histogram', '', attributes));
    expect(role({ route: '/predict', result: 'done' })).toMatchObject({ msPerUnit: 1, outcome: 'ok' });
    expect(role({ route: '/predict', result: 'failed' })).toMatchObject({ outcome: 'error' });
    expect(role({ route: '/predict' })).toMatchObject({ outcome: 'error' });
    expect(role({ route: '/health', result: 'done' })).toBeUndefined();
    // A dot in the pattern is a dot.
    expect(role({ route: '/predict' }, 'shopXeu.latency')).toBeUndefined();
    expect(role({ route: '/predict' }, 'a.shop.eu.latency')).toBeUndefined();
  });

  it('name counters of one outcome, and levels with a scale', () => {
    expect(mapper.roleOf(series('shop.requests', 'sum'))).toMatchObject({ signal: 'requests', outcome: 'error' });
    expect(mapper.roleOf(series('shop.backlog', 'gauge'))).toMatchObject({ signal: 'queueDepth', scale: 10 });
  });

  it('are looked up in the order given, exact or pattern', () => {
    const pattern: SignalMapping = { metric: 'a.*', signal: 'queueDepth', rank: 1 };
    const exact: SignalMapping = { metric: 'a.b', signal: 'inFlight', rank: 1 };
    expect(new SignalMapper([pattern, exact]).roleOf(series('a.b', 'gauge'))).toMatchObject({ signal: 'queueDepth' });
    expect(new SignalMapper([exact, pattern]).roleOf(series('a.b', 'gauge'))).toMatchObject({ signal: 'inFlight' });
  });
});

it('finds a role once: the same series gives the same object', () => {
  const one = series('http.server.request.duration', 'histogram', 's');
  expect(defaults.roleOf(one)).toBe(defaults.roleOf(one));
});

it('a series belongs to its service.name, and to none without one', () => {
  expect(defaults.componentOf(series('x', 'gauge'))).toBe('chat');
  expect(defaults.componentOf(series('x', 'gauge', '', {}, { resource: { 'host.name': 'h' } }))).toBeUndefined();
  expect(defaults.componentOf(series('x', 'gauge', '', {}, { resource: { 'service.name': '' } }))).toBeUndefined();
});

describe('precedence', () => {
  it('uses the lowest rank, and says when a better source takes over', () => {
    const precedence = new Precedence(60_000);
    expect(precedence.offer(20, 0)).toBe('use');
    expect(precedence.offer(20, 1_000)).toBe('use');
    expect(precedence.offer(10, 2_000)).toBe('replaced');
    expect(precedence.offer(20, 3_000)).toBe('skip');
    expect(precedence.offer(10, 4_000)).toBe('use');
  });

  it('falls back once the better source has been silent for long', () => {
    const precedence = new Precedence(60_000);
    precedence.offer(10, 0);
    expect(precedence.offer(20, 60_000)).toBe('skip');
    expect(precedence.offer(20, 60_001)).toBe('replaced');
    expect(precedence.offer(20, 61_000)).toBe('use');
  });

  it('does not let a source that counts nothing stand before one that does', () => {
    const precedence = new Precedence(60_000);
    expect(precedence.offer(10, 0, true)).toBe('use');
    expect(precedence.offer(10, 50_000, false)).toBe('use');
    expect(precedence.offer(20, 60_001, true)).toBe('replaced');
    expect(precedence.offer(10, 60_002, false)).toBe('skip');
    expect(precedence.offer(10, 60_003, true)).toBe('replaced');
  });

  it('takes zeros while there is nothing else', () => {
    const precedence = new Precedence(60_000);
    expect(precedence.offer(20, 0, false)).toBe('use');
    expect(precedence.offer(20, 1_000, false)).toBe('use');
    expect(precedence.offer(30, 2_000, false)).toBe('skip');
    expect(precedence.offer(30, 3_000, true)).toBe('replaced');
  });
});
