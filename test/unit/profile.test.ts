import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeValue, Series } from '../../agent/core/model.ts';
import type { Measured, PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import { kendallTau } from '../../agent/core/profile/trend.ts';
import { ComponentProfile, ProfileStore } from '../../agent/core/profile.ts';
import { DEFAULT_MAPPINGS, HOST_SAMPLER_SCOPE, SignalMapper, type SignalRole } from '../../agent/core/signals.ts';

const WINDOW = { intervalMs: 5_000, windowSize: 10 };
const T0 = 1_700_000_000_000;
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const mapper = new SignalMapper(DEFAULT_MAPPINGS);

let nextId = 0;
function series(
  name: string,
  kind: Series['kind'],
  unit: string,
  attributes: Record<string, AttributeValue> = {},
): Series {
  return {
    id: nextId++,
    name,
    unit,
    kind,
    monotonic: kind === 'sum',
    scope: '',
    resource: new Map([['service.name', 'chat']]),
    attributes: new Map(Object.entries(attributes)),
  };
}

/** Feeds a profile through the real mapping. */
class Feed {
  readonly profile: ComponentProfile;
  readonly #series = new Map<string, Series>();

  constructor(profile = new ComponentProfile('chat', WINDOW)) {
    this.profile = profile;
  }

  durations(
    name: string,
    fromMs: number,
    toMs: number,
    seconds: readonly number[],
    attributes: Record<string, AttributeValue> = {},
    nowMs = toMs,
  ): void {
    const s = this.#of(name, 'histogram', 's', attributes);
    const counts = new Array<number>(BOUNDS.length + 1).fill(0);
    for (const value of seconds) {
      const bucket = BOUNDS.findIndex((bound) => value <= bound);
      counts[bucket < 0 ? BOUNDS.length : bucket]! += 1;
    }
    const sum = seconds.reduce((total, value) => total + value, 0);
    const range = { startMs: fromMs, endMs: toMs };
    const role = mapper.roleOf(s)!;
    const { length: count } = seconds;
    this.profile.observe(role, { kind: 'histogram', series: s, ...range, count, sum, bounds: BOUNDS, counts }, nowMs);
  }

  gauge(
    name: string,
    unit: string,
    atMs: number,
    value: number,
    attributes: Record<string, AttributeValue> = {},
  ): void {
    const s = this.#of(name, 'gauge', unit, attributes);
    const role = mapper.roleOf(s)!;
    this.profile.observe(role, { kind: 'gauge', series: s, startMs: atMs, endMs: atMs, value }, atMs);
  }

  counter(name: string, unit: string, fromMs: number, toMs: number, delta: number, role?: SignalRole): void {
    const s = this.#of(name, 'sum', unit, {});
    const range = { startMs: fromMs, endMs: toMs };
    this.profile.observe(role ?? mapper.roleOf(s)!, { kind: 'sum', series: s, ...range, delta }, toMs);
  }

  #of(name: string, kind: Series['kind'], unit: string, attributes: Record<string, AttributeValue>): Series {
    const key = JSON.stringify([name, kind, unit, attributes]);
    const known = this.#series.get(key) ?? series(name, kind, unit, attributes);
    this.#series.set(key, known);
    return known;
  }
}
const HTTP = 'http.server.request.duration';
const failed = { 'http.response.status_code': 500 };

describe('response time', () => {
  it('is that of the latest interval, and that of the window, in milliseconds', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, [0.02, 0.04]);
    feed.durations(HTTP, T0 + 5_000, T0 + 10_000, [0.1, 0.2, 0.3, 0.4]);
    const { responseTime } = feed.profile.snapshot(T0 + 10_000).metrics;
    expect(responseTime!.current).toBeCloseTo(250, 6);
    expect(responseTime!.average).toBeCloseTo(1_060 / 6, 6);
    expect(responseTime!.count).toBe(6);
    expect(responseTime!.p95).toBeGreaterThan(250);
    expect(responseTime!.p99).toBeLessThanOrEqual(500);
    expect(responseTime!.trend).toBeUndefined();
  });

  it('leaves failures out: an outage that answers fast is no improvement', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, [0.1, 0.1]);
    feed.durations(HTTP, T0, T0 + 5_000, [0.001, 0.001], failed);
    const { metrics } = feed.profile.snapshot(T0 + 5_000);
    expect(metrics.responseTime!.average).toBeCloseTo(100, 6);
    expect(metrics.errorRate).toBe(0.5);
    expect(metrics.reliability).toMatchObject({ current: 0.5, average: 0.5 });
    expect(metrics.throughput!.current).toBeCloseTo(2 / 5, 9);
  });

  it('rises to trend 1 and falls to −1', () => {
    const rising = new Feed();
    const falling = new Feed();
    for (let i = 0; i < 8; i++) {
      const at = T0 + i * 5_000;
      rising.durations(HTTP, at, at + 5_000, [0.01 * (i + 1)]);
      falling.durations(HTTP, at, at + 5_000, [0.01 * (9 - i)]);
    }
    expect(rising.profile.snapshot(T0 + 40_000).metrics.responseTime!.trend).toBe(1);
    expect(falling.profile.snapshot(T0 + 40_000).metrics.responseTime!.trend).toBe(-1);
  });

  it('forgets what is older than the window', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, [0.9]);
    feed.durations(HTTP, T0 + 5_000, T0 + 10_000, [0.1]);
    expect(feed.profile.snapshot(T0 + 52_000).metrics.responseTime!.average).toBeCloseTo(100, 6);
    expect(feed.profile.snapshot(T0 + 52_000).metrics.responseTime!.p99).toBeLessThanOrEqual(100);
    expect(feed.profile.snapshot(T0 + 60_000).metrics).toEqual({});
    expect(feed.profile.responseTimes(T0 + 60_000).count).toBe(0);
  });

  it('gives the whole distribution to those who need its tail', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, [0.02, 0.02, 0.02, 0.8]);
    feed.durations(HTTP, T0 + 5_000, T0 + 10_000, [0.02, 0.02, 0.02, 0.02]);
    const times = feed.profile.responseTimes(T0 + 10_000);
    expect(times.count).toBe(8);
    expect(times.fractionAbove(300)).toBeCloseTo(1 / 8, 9);
  });
});

describe('one request counted once', () => {
  it('takes the source nearest to the model, whichever came first', () => {
    for (const names of [
      [HTTP, 'gen_ai.server.request.duration'],
      ['gen_ai.server.request.duration', HTTP],
    ]) {
      const feed = new Feed();
      for (let i = 0; i < 3; i++) {
        const at = T0 + i * 5_000;
        for (const name of names) feed.durations(name, at, at + 5_000, name === HTTP ? [0.3, 0.3] : [0.2, 0.2]);
      }
      const { metrics } = feed.profile.snapshot(T0 + 15_000);
      expect(metrics.responseTime!.average).toBeCloseTo(200, 6);
      expect(metrics.throughput!.average).toBeCloseTo(2 / 5, 6);
    }
  });

  it('gives way to the next source when the best one counts nothing any more', () => {
    const feed = new Feed();
    feed.durations('gen_ai.server.request.duration', T0, T0 + 5_000, [0.2]);
    for (let i = 1; i < 20; i++) {
      const at = T0 + i * 5_000;
      feed.durations('gen_ai.server.request.duration', at, at + 5_000, []);
      feed.durations(HTTP, at, at + 5_000, [0.3, 0.3]);
    }
    const { metrics } = feed.profile.snapshot(T0 + 100_000);
    expect(metrics.responseTime!.average).toBeCloseTo(300, 6);
    expect(metrics.throughput!.average).toBeCloseTo(2 / 5, 6);
  });

  it('adds up the attribute sets of one source', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, [0.1], { 'http.route': '/a' });
    feed.durations(HTTP, T0, T0 + 5_000, [0.1, 0.1], { 'http.route': '/b' });
    expect(feed.profile.snapshot(T0 + 5_000).metrics.throughput!.current).toBeCloseTo(3 / 5, 9);
  });

  it('believes a counter only where there is no histogram', () => {
    const role: SignalRole = { signal: 'requests', outcome: 'ok', source: 'n', rank: 0 };
    const feed = new Feed();
    feed.counter('n', '', T0, T0 + 5_000, 50, role);
    expect(feed.profile.snapshot(T0 + 5_000).metrics.throughput!.current).toBe(10);
    feed.durations(HTTP, T0, T0 + 5_000, [0.1]);
    feed.counter('n', '', T0 + 5_000, T0 + 10_000, 50, role);
    expect(feed.profile.snapshot(T0 + 10_000).metrics.throughput!.current).toBeCloseTo(1 / 5, 9);
  });
});

describe('throughput', () => {
  it('is the same whatever the exporter’s interval', () => {
    const fast = new Feed();
    const slow = new Feed();
    for (let i = 0; i < 40; i++) fast.durations(HTTP, T0 + i * 1_000, T0 + (i + 1) * 1_000, [0.1, 0.1, 0.1]);
    slow.durations(HTTP, T0, T0 + 40_000, new Array<number>(120).fill(0.1));
    for (const { profile } of [fast, slow]) {
      const { throughput, responseTime } = profile.snapshot(T0 + 40_000).metrics;
      expect(throughput!.current).toBeCloseTo(3, 6);
      expect(throughput!.average).toBeCloseTo(3, 6);
      expect(throughput!.peak).toBeCloseTo(3, 6);
      expect(responseTime!.current).toBeCloseTo(100, 6);
    }
  });

  it('is zero in an interval that telemetry covers without a request, and unknown in one it does not cover', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, new Array<number>(10).fill(0.1));
    feed.durations(HTTP, T0 + 5_000, T0 + 10_000, []);
    expect(feed.profile.snapshot(T0 + 10_000).metrics.throughput).toMatchObject({ current: 0, average: 1, peak: 2 });
    // Twenty seconds of silence later, still only ten are covered.
    expect(feed.profile.snapshot(T0 + 30_000).metrics.throughput).toMatchObject({ current: 0, average: 1 });
    expect(feed.profile.snapshot(T0 + 30_000).measuredAtMs).toBe(T0 + 10_000);
  });

  it('does not take the life of a process that ran before the agent for recent traffic', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0 - 3_600_000, T0, new Array<number>(5_000).fill(0.1));
    expect(feed.profile.snapshot(T0).metrics).toEqual({});
    expect(feed.profile.dropped.old).toBe(1);
  });

  it('counts late increments that it drops, and takes those of a clock that is ahead as of now', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0 - 70_000, T0 - 60_000, [0.1], {}, T0);
    expect(feed.profile.dropped.old).toBe(1);
    feed.durations(HTTP, T0 + 3_600_000, T0 + 3_605_000, [0.1], {}, T0);
    expect(feed.profile.dropped.old).toBe(1);
    expect(feed.profile.snapshot(T0).metrics.throughput!.average).toBeCloseTo(1 / 5, 9);
  });

  it('goes on when the clock jumps back', () => {
    const feed = new Feed();
    feed.durations(HTTP, T0, T0 + 5_000, [0.1]);
    feed.durations(HTTP, T0 - 100_000, T0 - 95_000, [0.3]);
    expect(feed.profile.snapshot(T0 - 95_000).metrics.responseTime!.average).toBeCloseTo(300, 6);
  });
});

describe('resources', () => {
  it('adds up CPU modes of the process and averages over CPUs', () => {
    const feed = new Feed();
    for (const cpu of ['0', '1']) {
      feed.gauge('process.cpu.utilization', '1', T0, 0.2, { 'cpu.mode': 'user', 'cpu.logical_number': cpu });
      feed.gauge('process.cpu.utilization', '1', T0, 0.1, { 'cpu.mode': 'system', 'cpu.logical_number': cpu });
    }
    const { cpu } = feed.profile.snapshot(T0).resources;
    expect(cpu!.usage).toBeCloseTo(30, 9);
    expect(cpu!.scope).toBe('process');
    expect(cpu!.utilizationRatio).toBeCloseTo(0.3, 9);
    expect(cpu!.efficiency).toBeUndefined();
  });

  it('turns CPU seconds into percent of the container’s limit', () => {
    const feed = new Feed();
    feed.gauge('container.cpu.limit', '{cpu}', T0, 4);
    feed.counter('process.cpu.time', 's', T0, T0 + 5_000, 10);
    const { cpu } = feed.profile.snapshot(T0 + 5_000).resources;
    expect(cpu!.usage).toBeCloseTo(50, 9);
    expect(cpu!.efficiency).toBeCloseTo(0.5, 9);
  });

  it('gives memory in MiB, with efficiency where the container has a limit', () => {
    const feed = new Feed();
    feed.gauge('process.memory.usage', 'By', T0, 300 * 2 ** 20);
    expect(feed.profile.snapshot(T0).resources.memory).toEqual({
      usage: 300,
      average: 300,
      peak: 300,
      scope: 'process',
    });
    feed.gauge('container.memory.limit', 'By', T0, 400 * 2 ** 20);
    expect(feed.profile.snapshot(T0).resources.memory).toMatchObject({ efficiency: 0.75, utilizationRatio: 0.75 });
    feed.profile.reserve('memory', 600);
    expect(feed.profile.snapshot(T0).resources.memory).toMatchObject({ efficiency: 0.5, utilizationRatio: 0.75 });
    // The document's memory strategy stops at its own target: 1 / 1.2 is above its threshold of 0.8.
    feed.profile.reserve('memory', 300 * 1.2);
    expect(feed.profile.snapshot(T0).resources.memory!.efficiency).toBeGreaterThan(0.8);
  });

  it('adds up the processes of one component, and forgets one that is gone', () => {
    const feed = new Feed();
    feed.gauge('process.memory.usage', 'By', T0, 100 * 2 ** 20, { worker: 1 });
    feed.gauge('process.memory.usage', 'By', T0, 50 * 2 ** 20, { worker: 2 });
    expect(feed.profile.snapshot(T0).resources.memory!.usage).toBe(150);
    for (let i = 1; i <= 40; i++) {
      feed.gauge('process.memory.usage', 'By', T0 + i * 5_000, 100 * 2 ** 20, { worker: 1 });
    }
    expect(feed.profile.snapshot(T0 + 200_000).resources.memory!.usage).toBe(100);
  });

  it('does not count a process twice that the agent and the process’s own SDK both report', () => {
    const feed = new Feed();
    const own = { ...series('process.memory.usage', 'gauge', 'By'), scope: HOST_SAMPLER_SCOPE };
    const value = 100 * 2 ** 20;
    for (const atMs of [T0, T0 + 5_000]) {
      feed.gauge('process.memory.usage', 'By', atMs, value);
      feed.profile.observe(
        mapper.roleOf(own)!,
        { kind: 'gauge', series: own, startMs: atMs, endMs: atMs, value },
        atMs,
      );
    }
    expect(feed.profile.snapshot(T0 + 5_000).resources.memory!.usage).toBe(100);
  });

  it('never takes the machine’s use for the component’s, but its GPUs and its size', () => {
    const store = new ProfileStore(WINDOW, 4);
    const host = new Feed(store.open('chat')!);
    host.gauge('system.memory.usage', 'By', T0, 2 ** 33, { state: 'used' });
    expect(store.snapshot('chat', T0)!.resources).toEqual({});

    const observe = (name: string, unit: string, value: number, attributes: Record<string, string> = {}) => {
      const s = series(name, 'gauge', unit, attributes);
      store.observe(undefined, mapper.roleOf(s)!, { kind: 'gauge', series: s, startMs: T0, endMs: T0, value }, T0);
    };
    observe('hw.gpu.utilization', '1', 0.6, { 'hw.id': 'a' });
    observe('hw.gpu.utilization', '1', 0.2, { 'hw.id': 'b' });
    observe('system.memory.limit', 'By', 1_000 * 2 ** 20);
    observe('system.memory.usage', 'By', 2 ** 29, { state: 'used' });
    host.gauge('process.memory.usage', 'By', T0, 100 * 2 ** 20);
    const { resources } = store.snapshot('chat', T0)!;
    expect(resources.gpu).toMatchObject({ scope: 'host', usage: 40, efficiency: 0.4 });
    expect(resources.memory).toMatchObject({ scope: 'process', usage: 100, utilizationRatio: 0.1, capacity: 1_000 });
    expect(resources.memory!.efficiency).toBeUndefined();
    expect(store.machine(T0).resources.memory).toMatchObject({ scope: 'host', usage: 512 });
  });

  it('keeps no more parts of a level than it has room for, and counts the rest', () => {
    const feed = new Feed();
    for (let i = 0; i < 300; i++) feed.gauge('process.memory.usage', 'By', T0, 2 ** 20, { worker: i });
    expect(feed.profile.snapshot(T0).resources.memory!.usage).toBe(256);
    expect(feed.profile.dropped.parts).toBe(44);
  });
});

describe('other signals', () => {
  it('gives the shares of time in which something waited or was throttled, each from its own container', () => {
    const feed = new Feed();
    const some = { 'system.linux.pressure.stall_type': 'some' };
    feed.gauge('container.cpu.linux.pressure.10s', '1', T0, 0.3, some);
    const full = series('container.cpu.linux.pressure.10s', 'gauge', '1', {
      'system.linux.pressure.stall_type': 'full',
    });
    expect(mapper.roleOf(full)).toBeUndefined();
    feed.gauge('container.cpu.throttled.ratio', '1', T0, 0.25);
    feed.gauge('container.cpu.limit', '{cpu}', T0, 1.5);
    feed.gauge('container.cpu.usage', '{cpu}', T0, 0.75);
    const { stalls, resources } = feed.profile.snapshot(T0);
    expect(stalls?.cpuPressure?.current).toBe(0.3);
    expect(stalls?.cpuThrottled?.current).toBe(0.25);
    expect(stalls?.memoryPressure).toBeUndefined();
    expect(resources.cpu).toMatchObject({ usage: 50, capacity: 1.5 });
  });

  it('takes the worst of several disks and file systems', () => {
    const feed = new Feed();
    const at = (mountpoint: string, mode = 'rw') => ({
      'system.filesystem.mountpoint': mountpoint,
      'system.filesystem.mode': mode,
    });
    feed.gauge('system.filesystem.utilization', '1', T0, 0.9, at('/'));
    feed.gauge('system.filesystem.utilization', '1', T0, 0.2, at('/models'));
    const image = series('system.filesystem.utilization', 'gauge', '1', at('/snap/core', 'ro'));
    expect(mapper.roleOf(image)).toBeUndefined();
    feed.gauge('system.disk.wait', 's', T0, 0.02);
    const now = Math.floor(T0 / 5_000);
    expect(feed.profile.reading('diskUsedRatio', now, now, T0)).toEqual({ value: 0.9, limit: 1 });
    expect(feed.profile.reading('diskWaitMs', now, now, T0)).toEqual({ value: 20 });
  });

  it('says whether a queue grows', () => {
    const feed = new Feed();
    const depth = () => feed.profile.snapshot(T0 + 20_000).metrics.queueDepth;
    for (let i = 0; i < 3; i++) feed.gauge('vllm:num_requests_waiting', '', T0 + i * 5_000, i);
    expect(depth()).not.toHaveProperty('trend');
    feed.gauge('vllm:num_requests_waiting', '', T0 + 15_000, 9);
    expect(depth()).toMatchObject({ current: 9, trend: 1 });
  });

  it('gives levels, times to first token and token rates', () => {
    const feed = new Feed();
    feed.gauge('http.server.active_requests', '{request}', T0 + 1_000, 3);
    feed.gauge('http.server.active_requests', '{request}', T0 + 6_000, 7);
    feed.durations('gen_ai.server.time_to_first_token', T0, T0 + 5_000, [0.05, 0.15]);
    const tokens: SignalRole = { signal: 'tokens', direction: 'output', scale: 1, source: 't', rank: 1 };
    feed.counter('t', '', T0, T0 + 5_000, 1_000, tokens);
    const { metrics } = feed.profile.snapshot(T0 + 6_000);
    expect(metrics.inFlight).toEqual({ current: 7, average: 5, peak: 7, measuredAtMs: T0 + 6_000 });
    expect(metrics.timeToFirstToken!.average).toBeCloseTo(100, 6);
    expect(metrics.outputTokens!.current).toBeCloseTo(200, 6);
    expect(metrics.inputTokens).toBeUndefined();
  });
});

describe('the store', () => {
  it('keeps a bounded number of components and counts what it has no room for', () => {
    const store = new ProfileStore(WINDOW, 2);
    const s = series('http.server.active_requests', 'gauge', '1');
    for (const name of ['a', 'b', 'c']) {
      store.observe(name, mapper.roleOf(s)!, { kind: 'gauge', series: s, startMs: T0, endMs: T0, value: 1 }, T0);
    }
    expect(store.components).toEqual(['a', 'b']);
    expect(store.dropped.components).toBe(1);
    expect(store.snapshot('c', T0)).toBeUndefined();
    store.forget('a');
    expect(store.open('c')).toBeDefined();
  });

  it('knows when something was last optimised, and 0 for never', () => {
    const profile = new ComponentProfile('chat', WINDOW);
    expect(profile.snapshot(T0).optimization).toEqual({ lastOptimized: 0, optimizations: 0 });
    profile.optimized(T0, 0.25);
    expect(profile.snapshot(T0 + 1).optimization).toEqual({
      lastOptimized: T0,
      optimizations: 1,
      lastImprovement: 0.25,
    });
  });
});

it('with everything measured, the design document’s own conditions read it as written', () => {
  const conditions = (profile: Measured<PerformanceProfile>, timeout: number, nowMs: number) => [
    profile.metrics.responseTime.average < timeout * 0.8,
    profile.resources.memory.efficiency < 0.8,
    profile.metrics.reliability.current > 0.9,
    profile.optimization.lastOptimized < nowMs - 300_000,
    profile.metrics.responseTime.trend > 0.2,
  ];
  const feed = new Feed();
  for (let i = 0; i < 5; i++) feed.durations(HTTP, T0 + i * 5_000, T0 + (i + 1) * 5_000, [0.1 + i / 100]);
  feed.gauge('process.memory.usage', 'By', T0 + 25_000, 100 * 2 ** 20);
  feed.profile.reserve('memory', 200);
  const profile = feed.profile.snapshot(T0 + 25_000) as Measured<PerformanceProfile>;
  expect(conditions(profile, 1_000, T0)).toEqual([true, true, true, true, true]);
});

describe('trend', () => {
  it('is the share of rising pairs less the share of falling ones', () => {
    expect(kendallTau([1, 2, 4, 3])).toBeCloseTo(4 / 6, 12);
    expect(kendallTau([1, 2, 3])).toBeUndefined();
    expect(kendallTau([5, 5, 5, 5])).toBe(0);
  });

  it('is that of counting every pair, ties and all', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 4, maxLength: 40 }), (values) => {
        const rises = values.flatMap((value, i) => values.slice(i + 1).map((later) => Math.sign(later - value)));
        const s = rises.reduce((sum, rise) => sum + rise, 0);
        const untied = rises.filter((rise) => rise !== 0).length;
        expect(kendallTau(values)).toBeCloseTo(untied === 0 ? 0 : s / Math.sqrt(untied * rises.length), 12);
      }),
    );
  });

  it('stays in [−1, 1], turns its sign with the sequence, and ignores any monotonic change of scale', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 4, maxLength: 40 }), (values) => {
        const tau = kendallTau(values)!;
        expect(Math.abs(tau)).toBeLessThanOrEqual(1);
        expect(kendallTau(values.toReversed())! + tau).toBeCloseTo(0, 12);
        expect(kendallTau(values.map((value) => value ** 3 + value))).toBe(tau);
      }),
    );
  });
});

it('whatever arrives, every number of a snapshot is finite and every ratio in its range', () => {
  const event = fc.record({
    name: fc.constantFrom(HTTP, 'gen_ai.server.request.duration', 'gen_ai.server.time_to_first_token'),
    offsetMs: fc.integer({ min: -80_000, max: 80_000 }),
    lengthMs: fc.integer({ min: 0, max: 90_000 }),
    seconds: fc.array(fc.double({ min: 0, max: 5, noNaN: true }), { maxLength: 5 }),
    failed: fc.boolean(),
    nowMs: fc.integer({ min: 0, max: 120_000 }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const feed = new Feed();
      for (const { name, offsetMs, lengthMs, seconds, failed: bad, nowMs } of events) {
        const end = T0 + offsetMs;
        feed.durations(name, end - lengthMs, end, seconds, bad ? failed : {}, T0 + nowMs);
      }
      const profile = feed.profile.snapshot(T0 + 60_000);
      // NaN and the infinities become null in JSON.
      expect(JSON.stringify(profile)).not.toContain('null');
      const { responseTime, reliability, errorRate, throughput } = profile.metrics;
      if (responseTime !== undefined) expect(responseTime.p95!).toBeLessThanOrEqual(responseTime.p99!);
      for (const ratio of [reliability?.current, reliability?.average, errorRate]) {
        if (ratio !== undefined) expect(ratio).toSatisfy((r: number) => r >= 0 && r <= 1);
      }
      if (throughput !== undefined) expect(throughput.average).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 200 },
  );
});
