import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { SeriesStore } from '../../agent/core/series/store.ts';
import { vllmPage } from './fixtures_prometheus/pages.ts';
import { LIMITS, Reader, type Reading } from './fixtures_prometheus/reading.ts';
import { type Family, render } from './fixtures_prometheus/render.ts';

const page = (...lines: string[]): string => `${lines.join('\n')}\n`;
const summaryOf = ({ points }: Reading) => points.map(({ name, kind, value }) => [name, kind, value]);

describe('what a page becomes', () => {
  it('counters, gauges and what has no type', () => {
    const reading = new Reader().read(
      page(
        '# HELP requests_total Requests.',
        '# TYPE requests_total counter',
        'requests_total{code="200"} 7',
        'requests_total{code="500"} 2',
        '# TYPE queue gauge',
        'queue 3',
        '# TYPE old untyped',
        'old 4',
        'unannounced{x="y"} 5',
        'bare_count 6',
      ),
      { atMs: 5_000 },
    );
    expect(summaryOf(reading)).toEqual([
      ['requests_total', 'sum', 7],
      ['requests_total', 'sum', 2],
      ['queue', 'gauge', 3],
      ['old', 'gauge', 4],
      ['unannounced', 'gauge', 5],
      ['bare_count', 'gauge', 6],
    ]);
    expect(reading.points[1]).toMatchObject({ labels: { code: '500' }, timeMs: 5_000, startMs: 0, hasEnded: false });
    expect(reading.points[1]!.series).toMatchObject({ monotonic: true, temporality: 'cumulative' });
    expect(reading.points[2]!.series).toMatchObject({ monotonic: false });
    expect(reading).toMatchObject({ samples: 6, badLines: 0, errors: [], isComplete: true });
  });

  it('a histogram with what each bucket holds by itself', () => {
    const { points } = new Reader().read(
      page(
        '# TYPE t_seconds histogram',
        't_seconds_bucket{le="0.1",m="x"} 1',
        't_seconds_bucket{le="0.5",m="x"} 1',
        't_seconds_bucket{le="1.0",m="x"} 4',
        't_seconds_bucket{le="+Inf",m="x"} 6.0',
        't_seconds_count{m="x"} 6.0',
        't_seconds_sum{m="x"} 9.5',
      ),
    );
    expect(points).toHaveLength(1);
    expect(points[0]).toMatchObject({ name: 't_seconds', kind: 'histogram', labels: { m: 'x' } });
    expect(points[0]!.histogram).toEqual({ count: 6, sum: 9.5, bounds: [0.1, 0.5, 1], counts: [1, 0, 3, 2] });
  });

  it('a histogram whose lines stand in any order, beside another of the same name', () => {
    const { points } = new Reader().read(
      page(
        '# TYPE t histogram',
        't_sum{m="x"} 1',
        't_bucket{m="y",le="+Inf"} 3',
        't_bucket{le="+Inf",m="x"} 2',
        't_bucket{le="1",m="x"} 1',
        't_bucket{m="y",le="1"} 3',
        't_count{m="x"} 2',
      ),
    );
    expect(points.map(({ labels, histogram }) => [labels, histogram])).toEqual([
      [{ m: 'x' }, { count: 2, sum: 1, bounds: [1], counts: [1, 1] }],
      [{ m: 'y' }, { count: 3, bounds: [1], counts: [3, 0] }],
    ]);
  });

  it('believes the buckets where a count that is being counted differs', () => {
    const { points } = new Reader().read(
      page('# TYPE t histogram', 't_bucket{le="1"} 4', 't_bucket{le="+Inf"} 5', 't_count 6', 't_sum NaN'),
    );
    expect(points[0]!.histogram).toEqual({ count: 5, bounds: [1], counts: [4, 1] });
  });

  it('a summary with count and sum and without its quantiles', () => {
    const reader = new Reader();
    const { points } = reader.read(
      page('# TYPE s summary', 's{quantile="0.5"} 0.2', 's{quantile="0.99"} NaN', 's_sum 12', 's_count 40'),
    );
    expect(points).toMatchObject([{ name: 's', kind: 'summary', histogram: { count: 40, sum: 12, counts: [] } }]);
    expect(reader.tally.dropped.unsupported).toBe(2);
  });

  it('OpenMetrics: units, info, state sets, gauge histograms, exemplars, and its end', () => {
    const reader = new Reader();
    const reading = reader.read(
      page(
        '# TYPE requests counter',
        'requests_total 5 # {trace="a"} 1',
        '# TYPE wait_seconds gauge',
        '# UNIT wait_seconds seconds',
        'wait_seconds 0.5 1.25',
        '# TYPE build info',
        'build_info{version="1"} 1',
        '# TYPE mode stateset',
        'mode{mode="fast"} 1',
        'mode{mode="slow"} 0',
        '# TYPE sizes gaugehistogram',
        'sizes_bucket{le="+Inf"} 4',
        'sizes_gcount 4',
        'sizes_gsum 40',
        '# TYPE odd unknown',
        'odd 9',
        '# EOF',
      ),
      { format: 'openmetrics', atMs: 2_000 },
    );
    expect(summaryOf(reading)).toEqual([
      ['requests_total', 'sum', 5],
      ['wait_seconds', 'gauge', 0.5],
      ['mode', 'gauge', 1],
      ['mode', 'gauge', 0],
      ['odd', 'gauge', 9],
    ]);
    expect(reading.points[1]).toMatchObject({ timeMs: 1_250, series: { unit: 's' } });
    expect(reading).toMatchObject({ badLines: 0, isComplete: true });
    expect(reader.tally.dropped.unsupported).toBe(4);
  });

  it('OpenMetrics without its end is not complete', () => {
    const lines = page('# TYPE a gauge', 'a 1');
    expect(new Reader().read(lines, { format: 'openmetrics' }).isComplete).toBe(false);
    expect(new Reader().read(lines, { format: 'text' }).isComplete).toBe(true);
    const behind = new Reader().read(page('# EOF', 'a 1'), { format: 'openmetrics' });
    expect(behind.errors).toEqual([{ line: 2, reason: 'the line stands behind "# EOF"' }]);
  });

  it('reads a page whose last line has no line feed', () => {
    expect(summaryOf(new Reader().read('a 1\nb 2'))).toEqual([
      ['a', 'gauge', 1],
      ['b', 'gauge', 2],
    ]);
  });
});

describe('what a page loses', () => {
  it('a bad line costs that line, and is told with its number', () => {
    const reader = new Reader();
    const reading = reader.read(page('a 1', 'b one', '', '# TYPE c speed', 'c{x=} 1', 'd 4'));
    expect(summaryOf(reading)).toEqual([
      ['a', 'gauge', 1],
      ['d', 'gauge', 4],
    ]);
    expect(reading.badLines).toBe(3);
    expect(reading.errors.map(({ line }) => line)).toEqual([2, 4, 5]);
    expect(reader.tally.dropped.bad_line).toBe(3);
  });

  it('tells the first few errors only', () => {
    const reading = new Reader().read('?\n'.repeat(1_000));
    expect(reading.badLines).toBe(1_000);
    expect(reading.errors).toHaveLength(5);
  });

  it('samples that their type does not have', () => {
    const reading = new Reader().read(
      page(
        '# TYPE h histogram',
        'h 1',
        'h_bucket 2',
        'h_bucket{le="wide"} 2',
        '# TYPE s summary',
        's_bucket{le="1"} 1',
      ),
    );
    expect(reading.errors).toEqual([
      { line: 2, reason: 'a histogram has no sample h' },
      { line: 3, reason: 'h_bucket has no label le with a number' },
      { line: 4, reason: 'h_bucket has no label le with a number' },
    ]);
    // No summary has buckets, so the last is a metric of its own.
    expect(reading.points.filter(({ name }) => name === 's_bucket')).toHaveLength(1);
  });

  it('a second type of one metric', () => {
    const reading = new Reader().read(page('# TYPE a counter', 'a 1', '# TYPE a gauge', 'a 2'));
    expect(summaryOf(reading)).toEqual([['a', 'sum', 1]]);
    expect(reading.errors).toEqual([{ line: 3, reason: 'a has a type already' }]);
  });

  it('the same series twice, in whatever order its labels stand', () => {
    const reader = new Reader();
    const reading = reader.read(
      page(
        'a{x="1",y="2"} 1',
        'a{y="2",x="1"} 2',
        'a{x="1",y="2",z=""} 3',
        '# TYPE t summary',
        't_count 1',
        't_count 2',
      ),
    );
    expect(reading.points.map(({ value, histogram }) => histogram?.count ?? value)).toEqual([1, 1]);
    expect(reader.tally.dropped.duplicate).toBe(3);
  });

  it('does not take one label value for another name', () => {
    const reading = new Reader().read(page('a{x="1",y="2"} 1', 'a{x="1y=1:2"} 2', 'a{x="1y",y="1:2"} 3'));
    expect(reading.points).toHaveLength(3);
  });

  it('values that are none, and counters below zero', () => {
    const reader = new Reader();
    const reading = reader.read(page('a NaN', 'b +Inf', '# TYPE c counter', 'c -1', 'd -1'));
    expect(summaryOf(reading)).toEqual([['d', 'gauge', -1]]);
    expect(reader.tally.dropped.no_value).toBe(3);
  });

  it('histograms that are none', () => {
    const reader = new Reader();
    const reading = reader.read(
      page(
        '# TYPE falls histogram',
        ...['falls_bucket{le="1"} 5', 'falls_bucket{le="2"} 4', 'falls_bucket{le="+Inf"} 6'],
        '# TYPE open histogram',
        ...['open_bucket{le="1"} 5', 'open_count 5'],
        '# TYPE below histogram',
        ...['below_bucket{le="1"} -1', 'below_bucket{le="+Inf"} 6'],
        '# TYPE sum_only histogram',
        'sum_only_sum 5',
        '# TYPE nan summary',
        'nan_count NaN',
      ),
    );
    expect(reading.points).toEqual([]);
    expect(reader.tally.dropped.bad_histogram).toBe(5);
  });

  it('points of another time', () => {
    const reader = new Reader();
    const now = 1_700_000_000_000;
    const text = page(`a 1 ${now - 599_000}`, `b 2 ${now - 601_000}`, `c 3 ${now + 59_000}`, `d 4 ${now + 61_000}`);
    const reading = reader.read(text, { atMs: now });
    expect(reading.points.map(({ name, timeMs }) => [name, timeMs - now])).toEqual([
      ['a', -599_000],
      ['c', 59_000],
    ]);
    expect(reader.tally.dropped.timestamp).toBe(2);
  });

  it("DCGM's words for nothing", () => {
    const reader = new Reader();
    const reading = reader.read(
      page(
        ...[
          'DCGM_FI_A 9223372036854775794',
          'DCGM_FI_B 140737488355330',
          'DCGM_FI_C 2147483632',
          'DCGM_FI_D 2147483631',
        ],
        ...['# TYPE DCGM_FI_E counter', 'DCGM_FI_E 2147483640', 'other 9223372036854775794'],
      ),
    );
    expect(reading.points.map(({ name }) => name)).toEqual(['DCGM_FI_D', 'DCGM_FI_E', 'other']);
    expect(reader.tally.dropped.blank).toBe(3);
  });

  it('series beyond the limit, until others have gone', () => {
    const reader = new Reader({ maxSeries: 2 });
    expect(reader.read(page('a 1', 'b 1', 'c 1')).points.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(reader.tally.dropped.series_limit).toBe(1);
    // b's end is told first; then its place is free.
    const second = reader.read(page('a 1', 'c 1'), { atMs: 2_000 });
    expect(second.points.map(({ name, hasEnded }) => [name, hasEnded])).toEqual([
      ['a', false],
      ['b', true],
    ]);
    expect(reader.read(page('a 1', 'c 1'), { atMs: 3_000 }).points.map(({ name }) => name)).toEqual(['a', 'c']);
    expect(reader.table.size).toBe(2);
  });

  it('series for which the interner has no room', () => {
    const reader = new Reader({ interner: new SeriesInterner({ maxSeries: 1 }) });
    expect(reader.read(page('a 1', 'b 1')).points).toHaveLength(1);
    expect(reader.tally.dropped.series_limit).toBe(1);
  });

  it('lines without end, wherever they are cut', () => {
    for (const chunkBytes of [7, 100, 10_000]) {
      const reader = new Reader({ limits: { ...LIMITS, maxLineLength: 50 } });
      const reading = reader.read(`a 1\n${'x'.repeat(500)}\nb 2\n${'y'.repeat(500)}`, { chunkBytes });
      expect(summaryOf(reading)).toEqual([
        ['a', 'gauge', 1],
        ['b', 'gauge', 2],
      ]);
      expect(reading.errors.map(({ line, reason }) => [line, reason])).toEqual([
        [2, 'the line is longer than 50 characters'],
        [4, 'the line is longer than 50 characters'],
      ]);
    }
  });

  it('metrics beyond the limit', () => {
    const reader = new Reader({ limits: { ...LIMITS, maxFamilies: 1 } });
    const reading = reader.read(page('# TYPE a counter', '# TYPE b counter', 'a 1', 'b 1'));
    expect(reading.errors).toEqual([{ line: 2, reason: 'more than 1 metrics' }]);
  });
});

describe('from page to page', () => {
  const counter = (value: number, ...more: string[]) => page('# TYPE c counter', `c ${value}`, ...more);
  const starts = (reading: Reading) => reading.points.map(({ name, startMs }) => [name, startMs]);

  it('is the same series again', () => {
    const reader = new Reader();
    const text = page('a{x="1"} 1', '# TYPE t histogram', 't_bucket{le="1"} 1', 't_bucket{le="+Inf"} 2');
    const [first, second] = [reader.read(text), reader.read(text, { atMs: 2_000 })];
    expect(second.points.map(({ series }) => series)).toEqual(first.points.map(({ series }) => series));
    for (const [i, { series }] of second.points.entries()) expect(series).toBe(first.points[i]!.series);
    expect(second.points[1]!.histogram!.bounds).toBe(first.points[1]!.histogram!.bounds);
  });

  it('what was there first has no known start; what comes later began after the page before', () => {
    const reader = new Reader();
    expect(starts(reader.read(counter(5), { atMs: 1_000 }))).toEqual([['c', 0]]);
    const later = counter(6, '# TYPE failed_total counter', 'failed_total 1');
    expect(starts(reader.read(later, { atMs: 2_000 }))).toEqual([
      ['c', 0],
      ['failed_total', 1_000],
    ]);
    expect(starts(reader.read(later, { atMs: 3_000 }))).toEqual([
      ['c', 0],
      ['failed_total', 1_000],
    ]);
  });

  it.each(['text', 'openmetrics'] as const)('takes a creation time for the start, in %s', (format) => {
    const families: Family[] = [
      { name: 'requests', type: 'counter', metrics: [{ labels: { a: 'b' }, value: 3, createdSeconds: 0.25 }] },
      { name: 't', type: 'histogram', metrics: [{ bounds: [1], counts: [1, 0], createdSeconds: 0.5 }] },
      { name: 's', type: 'summary', metrics: [{ count: 1, sum: 1, createdSeconds: 0.75 }] },
    ];
    const reading = new Reader().read(render(families, format), { format, atMs: 1_000 });
    expect(starts(reading)).toEqual([
      ['requests_total', 250],
      ['t', 500],
      ['s', 750],
    ]);
    expect(reading.badLines).toBe(0);
  });

  it('a creation time ahead of our clock is now', () => {
    const text = render([{ name: 'c', type: 'counter', metrics: [{ value: 1, createdSeconds: 5 }] }], 'openmetrics');
    expect(starts(new Reader().read(text, { format: 'openmetrics', atMs: 1_000 }))).toEqual([['c_total', 1_000]]);
  });

  it('a gauge that is named like a creation time is a gauge', () => {
    expect(summaryOf(new Reader().read(page('# TYPE image_created gauge', 'image_created 5')))).toEqual([
      ['image_created', 'gauge', 5],
    ]);
  });

  it('shows a restart by the start of the process, although no counter fell', () => {
    const reader = new Reader();
    const store = new SeriesStore({ maxSeries: 10 });
    const at = (value: number, processStart: number, atMs: number) => {
      const { batch } = reader.read(counter(value, `process_start_time_seconds ${processStart}`), { atMs });
      return store.normalise(batch, 0);
    };
    expect(at(100, 1, 10_000)).toBeUndefined();
    expect(at(110, 1, 15_000)).toMatchObject({ delta: 10, startMs: 10_000 });
    // Restarted at 17 s and busier since.
    expect(at(120, 17, 20_000)).toMatchObject({ delta: 120, startMs: 17_000 });
    expect(at(125, 17.02, 25_000)).toMatchObject({ delta: 5, startMs: 20_000 });
    // Its clock is behind: the old process was still seen after the new one's start.
    expect(at(130, 20, 30_000)).toMatchObject({ delta: 130, startMs: 25_000 });
    expect(store.counts.resets).toBe(2);
  });

  it('a counter that fell is a reset without any start', () => {
    const reader = new Reader();
    const store = new SeriesStore({ maxSeries: 10 });
    const at = (value: number, atMs: number) => store.normalise(reader.read(counter(value), { atMs }).batch, 0);
    at(100, 1_000);
    expect(at(30, 2_000)).toMatchObject({ delta: 30, startMs: 1_000, endMs: 2_000 });
    expect(store.counts.resets).toBe(1);
  });

  it('tells once that a series has ended, and goes on with it where it left off', () => {
    const reader = new Reader();
    const store = new SeriesStore({ maxSeries: 10 });
    const both = page('# TYPE c counter', 'c 1', 'g 1', '# TYPE t summary', 't_count 1');
    reader.read(both, { atMs: 1_000 });
    const without = reader.read(page('h 1'), { atMs: 2_000 });
    expect(without.points.map(({ name, hasEnded, timeMs }) => [name, hasEnded, timeMs])).toEqual([
      ['h', false, 2_000],
      ['c', true, 2_000],
      ['g', true, 2_000],
      ['t', true, 2_000],
    ]);
    for (let row = 1; row < 4; row++) expect(store.normalise(without.batch, row)).toBeUndefined();
    expect(store.counts.noRecordedValue).toBe(3);
    expect(reader.tally.ended).toBe(3);
    expect(reader.read(page('h 1'), { atMs: 3_000 }).points).toHaveLength(1);
    // No start that would make all of it new.
    expect(starts(reader.read(both, { atMs: 4_000 }))[0]).toEqual(['c', 0]);
  });

  it('forgets what no page has had for long', () => {
    const reader = new Reader();
    reader.read(page('a 1', 'b 1'), { atMs: 1_000 });
    reader.read(page('a 1'), { atMs: 2_000 });
    reader.table.evictIdle(2_500, 1_000);
    expect(reader.table.size).toBe(1);
  });
});

describe('properties', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9:]{0,6}$/);
  const labels = fc.dictionary(
    fc.stringMatching(/^[a-km-z][a-z0-9]{0,3}$/),
    fc.string({ unit: 'grapheme', minLength: 1 }),
  );
  const count = fc.nat({ max: 1_000_000 });
  // No negative zero: it is written as a plain one.
  const value = fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (x === 0 ? 0 : x));
  const time = fc.option(fc.integer({ min: 1_000, max: 600_000 }), { nil: undefined });
  const created = fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined });
  // Only what is cumulative has a creation time.
  const never = fc.constant(undefined);
  const metricsOf = <T extends object>(own: fc.Arbitrary<T>, created: fc.Arbitrary<number | undefined>) =>
    fc
      .array(
        fc.tuple(labels, time, created, own).map(([labels, timestampMs, createdSeconds, own]) => ({
          ...{ labels, ...own },
          ...(timestampMs !== undefined && { timestampMs }),
          ...(createdSeconds !== undefined && { createdSeconds }),
        })),
        { minLength: 1, maxLength: 3 },
      )
      .map((metrics) => [
        ...new Map(metrics.map((metric) => [JSON.stringify(Object.entries(metric.labels).sort()), metric])).values(),
      ]);
  const buckets = fc
    .uniqueArray(
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -10, max: 1e6 }).filter((x) => !Object.is(x, -0)),
      { minLength: 1, maxLength: 6 },
    )
    .chain((bounds) =>
      fc.tuple(
        fc.constant(bounds.toSorted((a, b) => a - b)),
        fc.array(count, { minLength: bounds.length + 1, maxLength: bounds.length + 1 }),
        value,
      ),
    )
    .map(([bounds, counts, sum]) => ({ bounds, counts, sum }));
  const body = fc.oneof(
    fc.record({ type: fc.constant('gauge' as const), metrics: metricsOf(fc.record({ value }), never) }),
    fc.record({ type: fc.constant('untyped' as const), metrics: metricsOf(fc.record({ value }), never) }),
    fc.record({ type: fc.constant('counter' as const), metrics: metricsOf(fc.record({ value: count }), created) }),
    fc.record({ type: fc.constant('histogram' as const), metrics: metricsOf(buckets, created) }),
    fc.record({ type: fc.constant('summary' as const), metrics: metricsOf(fc.record({ count, sum: value }), created) }),
  );
  const families: fc.Arbitrary<Family[]> = fc
    .tuple(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), fc.array(body, { minLength: 5, maxLength: 5 }))
    // The union of the bodies does not survive being mapped; each has the shape of its type.
    .map(([names, bodies]) => names.map((name, i) => ({ name, help: 'h\n\\"x', ...bodies[i]! }) as Family));
  const format = fc.constantFrom('text' as const, 'openmetrics' as const);

  it('reads back whatever was written, in both formats, however it is cut', () => {
    fc.assert(
      fc.property(families, format, fc.integer({ min: 1, max: 40 }), (families, format, chunkBytes) => {
        const reader = new Reader();
        const atMs = 600_000;
        const reading = reader.read(render(families, format), { format, atMs, chunkBytes });
        expect(reading.errors).toEqual([]);
        expect(reading.isComplete).toBe(true);
        const wanted = families.flatMap((family) =>
          family.metrics.map((metric) => {
            const timeMs = metric.timestampMs ?? atMs;
            return {
              name: family.type === 'counter' ? `${family.name}_total` : family.name,
              kind: family.type === 'counter' ? 'sum' : family.type === 'untyped' ? 'gauge' : family.type,
              labels: metric.labels,
              timeMs,
              startMs: Math.min((metric.createdSeconds ?? 0) * 1_000, timeMs),
              ...('counts' in metric || 'count' in metric
                ? { histogram: histogramOf(metric) }
                : { value: metric.value }),
            };
          }),
        );
        const read = reading.points.map(({ name, kind, labels, timeMs, startMs, value, histogram }) => ({
          ...{ name, kind, labels, timeMs, startMs: kind === 'gauge' ? 0 : startMs },
          ...(histogram === undefined ? { value } : { histogram }),
        }));
        expect(read).toEqual(wanted);
      }),
      { numRuns: 200 },
    );
  });

  it('survives whatever is done to a page, and says the same however it is cut', () => {
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      length: fc.nat({ max: 20 }),
      text: fc.oneof(
        fc.string({ maxLength: 10 }),
        fc.constantFrom('\n', '"', '\\', '{', '}', '#', '# TYPE ', '# EOF\n', ' ', ',', 'le="', 'NaN', '\u0000', '💥'),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(edit, { minLength: 1, maxLength: 12 }),
        format,
        fc.integer({ min: 1, max: 60 }),
        (edits, format, chunkBytes) => {
          let text = vllmPage({ finished: 10, createdSeconds: 1 }, format);
          for (const { at, length, text: insert } of edits) {
            const from = Math.floor(at * text.length);
            text = text.slice(0, from) + insert + text.slice(from + length);
          }
          const told = (chunkBytes: number) => {
            const reader = new Reader();
            const reading = reader.read(text, { format, atMs: 10_000, chunkBytes });
            const points = reading.points.map(({ series: { id: _, ...series }, ...point }) => ({
              ...point,
              name: series.name,
            }));
            return { ...reading, batch: undefined, points, dropped: reader.tally.dropped };
          };
          expect(told(chunkBytes)).toEqual(told(1_000_000));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (chunks) => {
        const reader = new Reader();
        const text = Buffer.concat(chunks).toString('latin1');
        const reading = reader.read(text);
        expect(reading.badLines).toBe(reader.tally.dropped.bad_line);
        for (const { value } of reading.points) expect(Number.isFinite(value)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

function histogramOf(metric: { bounds?: readonly number[]; counts?: readonly number[]; count?: number; sum?: number }) {
  const { bounds = [], counts = [] } = metric;
  const count = metric.count ?? counts.reduce((total, inBucket) => total + inBucket, 0);
  return { count, bounds, counts, ...(metric.sum !== undefined && { sum: metric.sum }) };
}
