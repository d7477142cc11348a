import { describe, expect, it } from 'vitest';
import { createEngine } from '../../agent/core/engine.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { DEFAULT_MAPPINGS, SignalMapper, type SignalRole } from '../../agent/core/signals.ts';
import { dcgmPage, llamaCppPage, sglangPage, tgiPage, tritonPage, vllmPage } from './fixtures_prometheus/pages.ts';
import { Reader } from './fixtures_prometheus/reading.ts';
import { render } from './fixtures_prometheus/render.ts';

const T0 = 1_700_000_000_000;
const INTERVAL_MS = 5_000;
const mapper = new SignalMapper(DEFAULT_MAPPINGS);

/** The profile after pages that are five seconds apart; every page but the first adds what one interval brings. */
function profileOf(pages: readonly string[]): PerformanceProfile {
  const reader = new Reader();
  const engine = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
  let nowMs = T0;
  for (const page of pages) {
    const reading = reader.read(page, { atMs: nowMs });
    expect(reading.errors).toEqual([]);
    engine.step(nowMs, { kind: 'samples', batch: reading.batch });
    engine.step(nowMs, { kind: 'tick' });
    nowMs += INTERVAL_MS;
  }
  return engine.view('chat')!.profile!;
}

/** What each series of a page means, by its name. */
function rolesOf(page: string): Record<string, SignalRole['signal'] | undefined> {
  const { points } = new Reader().read(page);
  return Object.fromEntries(points.map(({ series }) => [series.name, mapper.roleOf(series)?.signal]));
}

describe('vLLM', () => {
  it('shows response times, throughput, failures, queue, cache and tokens', () => {
    const profile = profileOf([
      vllmPage({ finished: 1_000, aborted: 7 }),
      vllmPage({ finished: 1_090, aborted: 17, waiting: 4 }),
      vllmPage({ finished: 1_180, aborted: 27, waiting: 9 }),
    ]);
    const { metrics } = profile;
    expect(metrics.responseTime).toMatchObject({ average: expect.closeTo(400, 6), count: 200 });
    // All of them between 300 and 500 ms: the bucket says no more.
    expect(metrics.responseTime!.p95).toSatisfy((ms: number) => ms > 300 && ms <= 500);
    expect(metrics.timeToFirstToken!.average).toBeCloseTo(50, 6);
    expect(metrics.timePerOutputToken!.average).toBeCloseTo(20, 6);
    expect(metrics.queueTime!.average).toBeCloseTo(100, 6);
    // 90 of 100 in five seconds succeeded, which only the counter tells.
    expect(metrics.throughput!.average).toBeCloseTo(18, 6);
    expect(metrics.errorRate).toBeCloseTo(0.1, 6);
    expect(metrics.queueDepth).toMatchObject({ current: 9, peak: 9 });
    expect(metrics.inFlight!.current).toBe(3);
    expect(metrics.cacheUsage!.current).toBe(0.25);
    expect(metrics.inputTokens!.average).toBeCloseTo(2_000, 6);
    expect(metrics.outputTokens!.average).toBeCloseTo(400, 6);
  });

  it('counts its requests by the histogram where there is no counter', () => {
    const without = (finished: number) => vllmPage({ finished }).replaceAll('vllm:request_success', 'other');
    const { metrics } = profileOf([without(0), without(50), without(100)]);
    expect(metrics.throughput!.average).toBeCloseTo(10, 6);
  });

  it('means nothing by its other metrics', () => {
    const roles = rolesOf(vllmPage({ finished: 1, processStartSeconds: 5 }));
    const unmapped = Object.entries(roles).flatMap(([name, role]) => (role === undefined ? [name] : []));
    expect(unmapped).toEqual([
      'python_info',
      'process_start_time_seconds',
      'vllm:num_preemptions_total',
      'vllm:iteration_tokens_total',
      'vllm:cache_config_info',
    ]);
  });

  it('takes a renamed metric for the old one, once', () => {
    const gauge = (name: string) => ({ name, type: 'gauge' as const, metrics: [{ value: 0.5 }] });
    const cache = (...names: string[]) => profileOf([render(names.map(gauge), 'text')]).metrics.cacheUsage!.current;
    expect(cache('vllm:gpu_cache_usage_perc')).toBe(0.5);
    expect(cache('vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc')).toBe(0.5);
  });

  it('adds up the queues of several engines, and averages their caches', () => {
    const gauge = (name: string, values: readonly number[]) => ({
      ...{ name, type: 'gauge' as const },
      metrics: values.map((value, engine) => ({ labels: { engine: String(engine) }, value })),
    });
    const page = render(
      [gauge('vllm:num_requests_waiting', [3, 4]), gauge('vllm:kv_cache_usage_perc', [0.8, 0.6])],
      'text',
    );
    const { queueDepth, cacheUsage } = profileOf([page]).metrics;
    expect(queueDepth!.current).toBe(7);
    expect(cacheUsage!.current).toBeCloseTo(0.7, 9);
  });
});

it('SGLang: ranks of one group are counted once', () => {
  const { metrics } = profileOf([sglangPage(100, 0), sglangPage(195, 5), sglangPage(290, 10)]);
  expect(metrics.responseTime!.average).toBeCloseTo(700, 6);
  expect(metrics.timeToFirstToken!.average).toBeCloseTo(90, 6);
  expect(metrics.timePerOutputToken!.average).toBeCloseTo(6, 6);
  expect(metrics.queueTime!.average).toBeCloseTo(4, 6);
  expect(metrics.throughput!.average).toBeCloseTo(19, 6);
  expect(metrics.errorRate).toBeCloseTo(0.05, 6);
  expect(metrics.queueDepth!.current).toBe(6);
  expect(metrics.inFlight!.current).toBe(4);
  expect(metrics.cacheUsage!.current).toBe(0.28);
  expect(metrics.outputTokens!.average).toBeCloseTo(380, 6);
});

describe('Triton', () => {
  it('shows means from two counters, and no percentile that nobody measured', () => {
    const { metrics, resources } = profileOf([tritonPage(0, 0), tritonPage(49, 1), tritonPage(98, 2)]);
    expect(metrics.responseTime).toEqual({
      current: expect.closeTo(200, 6),
      average: expect.closeTo(200, 6),
      count: expect.closeTo(98, 6),
    });
    expect(metrics.queueTime!.average).toBeCloseTo(50, 6);
    expect(metrics.throughput!.average).toBeCloseTo(9.8, 6);
    expect(metrics.errorRate).toBeCloseTo(0.02, 6);
    expect(metrics.queueDepth!.current).toBe(7);
    // Two GPUs: 40 and 80 %, 1 and 3 GiB of 15 each.
    expect(resources.gpu!.usage).toBeCloseTo(60, 6);
    expect(resources.gpuMemory).toMatchObject({ usage: 4_096, utilizationRatio: expect.closeTo(4 / 30, 6) });
  });

  it('gives way to a histogram, which tells more', () => {
    const http = (requests: number) =>
      '# TYPE http_server_request_duration histogram\n' +
      `http_server_request_duration_bucket{le="0.5"} ${requests}\nhttp_server_request_duration_bucket{le="+Inf"} ${requests}\n` +
      `http_server_request_duration_sum ${0.3 * requests}\n`;
    const own = { metric: 'http_server_request_duration', signal: 'responseTime', unit: 's', rank: 20 } as const;
    const reader = new Reader();
    const engine = createEngine({
      ...{ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 },
      mappings: [own, ...DEFAULT_MAPPINGS],
    });
    for (let page = 0; page < 3; page++) {
      const nowMs = T0 + page * INTERVAL_MS;
      const { batch } = reader.read(tritonPage(50 * page, 0) + http(40 * page), { atMs: nowMs });
      engine.step(nowMs, { kind: 'samples', batch });
    }
    const { metrics } = engine.view('chat')!.profile!;
    expect(metrics.responseTime!.average).toBeCloseTo(300, 6);
    expect(metrics.throughput!.average).toBeCloseTo(8, 6);
  });
});

it('TGI: a request that could never succeed is nobody’s failure', () => {
  const { metrics } = profileOf([tgiPage(0, 0, 0), tgiPage(95, 5, 50), tgiPage(190, 10, 100)]);
  expect(metrics.responseTime!.average).toBeCloseTo(800, 6);
  expect(metrics.queueTime!.average).toBeCloseTo(50, 6);
  expect(metrics.timePerOutputToken!.average).toBeCloseTo(80, 6);
  expect(metrics.throughput!.average).toBeCloseTo(19, 6);
  expect(metrics.errorRate).toBeCloseTo(0.05, 6);
  expect(metrics.queueDepth!.current).toBe(2);
  expect(metrics.inFlight!.current).toBe(12);
  expect(metrics.inputTokens!.average).toBeCloseTo(570, 6);
  expect(metrics.outputTokens!.average).toBeCloseTo(190, 6);
});

it('llama.cpp: time per token from two counters, and nothing about requests, which it does not count', () => {
  const { metrics } = profileOf([llamaCppPage(0), llamaCppPage(200), llamaCppPage(400)]);
  expect(metrics.timePerOutputToken).toMatchObject({ average: expect.closeTo(25, 6), count: expect.closeTo(400, 6) });
  expect(metrics.queueDepth!.current).toBe(11);
  expect(metrics.inFlight!.current).toBe(2);
  expect(metrics.outputTokens!.average).toBeCloseTo(40, 6);
  expect(metrics.inputTokens!.average).toBeCloseTo(200, 6);
  expect(metrics.responseTime).toBeUndefined();
  expect(metrics.throughput).toBeUndefined();
});

describe('DCGM exporter', () => {
  it('averages what each GPU does, and leaves out what one cannot tell', () => {
    const { resources } = profileOf([dcgmPage()]);
    expect(resources.gpu!.usage).toBeCloseTo(40, 6);
    expect(resources.gpuMemory!.usage).toBe(61_000);
  });

  it('takes the older field where profiling is not allowed', () => {
    expect(profileOf([dcgmPage({ profiling: false })]).resources.gpu!.usage).toBeCloseTo(54, 6);
  });

  it('tells the parts of one GPU apart', () => {
    const part = (id: number) =>
      `DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",UUID="GPU-1",GPU_I_PROFILE="3g.40gb",GPU_I_ID="${id}"} ${id / 10}\n`;
    expect(profileOf([part(1) + part(5)]).resources.gpu!.usage).toBeCloseTo(30, 6);
  });
});

describe('the table', () => {
  const role = (page: string) => mapper.roleOf(new Reader().read(page).points[0]!.series);
  const RESPONSE_TIMES = [
    'vllm:e2e_request_latency_seconds',
    'sglang:e2e_request_latency_seconds',
    'tgi_request_duration',
  ];
  const histogram = (name: string) => `# TYPE ${name} histogram\n${name}_bucket{le="+Inf"} 1\n`;

  it('gives no two servers one rank, so that one behind another is not counted twice', () => {
    const ranks = RESPONSE_TIMES.map((name) => role(histogram(name))!.rank);
    expect(new Set(ranks).size).toBe(ranks.length);
    for (const rank of ranks) expect(rank).toSatisfy((own: number) => own > 10 && own < 20);
  });

  it('does not take a metric whose kind does not fit its name', () => {
    expect(role('vllm:e2e_request_latency_seconds 1\n')).toBeUndefined();
    expect(role('nv_inference_request_duration_us 1\n')).toBeUndefined();
    expect(role('# TYPE vllm:num_requests_waiting counter\nvllm:num_requests_waiting 1\n')).toBeUndefined();
  });
});
