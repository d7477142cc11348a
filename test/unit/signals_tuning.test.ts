import { describe, expect, it } from 'vitest';
import { OUTCOME_METRIC } from '../../agent/core/mappings/opentelemetry.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { Distribution } from '../../agent/core/series/distribution.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { SeriesStore } from '../../agent/core/series/store.ts';
import { DEFAULT_MAPPINGS, isTuned, SignalMapper, type SignalRole, tunedRank } from '../../agent/core/signals.ts';
import { type Measurement, MeasurementWindow } from '../../agent/core/tune/window.ts';
import { tritonPage, vllmPage } from './fixtures_prometheus/pages.ts';
import { Reader } from './fixtures_prometheus/reading.ts';

const RULE = { minMs: 10_000, maxMs: 60_000, minRequests: 10 };
const T0 = 1_700_000_000_000;

/** What a window over these pages, five seconds apart, measures. */
function measured(pages: readonly string[]): Measurement {
  const reader = new Reader();
  const store = new SeriesStore({ maxSeries: 1_000 });
  const mapper = new SignalMapper(DEFAULT_MAPPINGS);
  const window = new MeasurementWindow(RULE, T0, new Distribution());
  for (const [i, page] of pages.entries()) {
    const { batch } = reader.read(page, { atMs: T0 + 5_000 * i });
    for (let row = 0; row < batch.size; row++) {
      const role = mapper.roleOf(batch.series[row]!);
      const increment = store.normalise(batch, row);
      if (role !== undefined && increment !== undefined) window.observe(role, increment);
    }
  }
  expect(window.state(T0 + 5_000 * pages.length, 5_000)).toBe('complete');
  return window.measurement();
}

describe('a window of the tuner', () => {
  it('takes the mean of what the process says its work was worth, over intervals that lie in it', () => {
    const series = new SeriesInterner({ maxSeries: 1 }).intern(
      {
        ...{ name: OUTCOME_METRIC, unit: '1', kind: 'histogram', temporality: 'delta', monotonic: false, scope: '' },
        ...{ resource: new Map(), attributes: new Map() },
      },
      T0,
    );
    const role = series && new SignalMapper(DEFAULT_MAPPINGS).roleOf(series);
    if (series === undefined || role === undefined) expect.fail('a reward means nothing');
    const builder = new SampleBatchBuilder();
    const rewards = [
      [100, T0 - 1_000, T0 + 1_000],
      [2, T0 + 1_000, T0 + 2_000],
      [4, T0 + 2_000, T0 + 3_000],
    ] as const;
    for (const [sum, fromMs, toMs] of rewards)
      builder.histogramOverMs(series, fromMs, toMs, { count: 1, sum, bounds: [], counts: [1] });
    const batch = builder.build();
    const store = new SeriesStore({ maxSeries: 10 });
    const window = new MeasurementWindow(RULE, T0, new Distribution());
    for (let row = 0; row < batch.size; row++) {
      const increment = store.normalise(batch, row);
      if (increment !== undefined) window.observe(role, increment);
    }
    expect(window.measurement()).toMatchObject({ rewardMean: 3, requests: 0 });
  });

  it('takes requests and failures from the counter, and times from the histogram beside it', () => {
    const window = measured([
      vllmPage({ finished: 100, aborted: 3 }),
      vllmPage({ finished: 190, aborted: 13 }),
      vllmPage({ finished: 280, aborted: 23 }),
    ]);
    expect(window).toMatchObject({ requests: 200, errors: 20, requestsPerSecond: 20 });
    expect(window.errorRatio).toBeCloseTo(0.1, 9);
    expect(window.latencyMsMean).toBeCloseTo(400, 6);
    expect(window.latencyMsP95).toSatisfy((ms: number) => ms > 300 && ms <= 500);
  });

  it('has a mean and no percentile where there are counters alone', () => {
    const window = measured([tritonPage(100, 0), tritonPage(140, 5), tritonPage(190, 10)]);
    expect(window).toMatchObject({ requests: 100, errors: 10 });
    expect(window.latencyMsMean).toBeCloseTo(200, 6);
    expect(window.latencyMsP95).toBeUndefined();
  });
});

describe('sources of one window', () => {
  const base = { source: 'm', rank: 7 };
  const histogram: SignalRole = { ...base, signal: 'responseTime', msPerUnit: 1, outcome: 'ok' };
  const requests: SignalRole = { ...base, signal: 'requests', outcome: 'ok' };
  const beside: SignalRole = { ...requests, times: 'histogram' };
  const counted: SignalRole = { ...requests, times: 'total' };
  const total: SignalRole = { ...base, signal: 'totalTime', of: 'responseTime', msPerUnit: 1 };
  const queueTotal: SignalRole = { ...base, signal: 'totalTime', of: 'queueTime', msPerUnit: 1 };
  const rank = (role: SignalRole) => (isTuned(role) ? tunedRank(role) : undefined);

  it('are taken together when they belong together', () => {
    expect(rank(beside)).toBe(rank(histogram));
    expect(rank(total)).toBe(rank(counted));
    expect(rank(queueTotal)).toBeUndefined();
  });

  it('begin with histograms, whatever their rank', () => {
    const late: SignalRole = { ...histogram, rank: 999 };
    expect(rank(late)).toBeLessThan(rank(requests)!);
    expect(rank(late)).toBeLessThan(rank(total)!);
  });
});
