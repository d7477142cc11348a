import { expect, test } from 'vitest';
import type { SampleBatch } from '../../agent/core/model.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { RequestMeter } from '../../agent/optimizer/request-meter.ts';

const ALLOCATION = { cpu: 40, memory: 600, gpu: 10 };

function meterAt(nowMs: number, maxSeries = 100): RequestMeter {
  return new RequestMeter(new SeriesInterner({ maxSeries }), nowMs);
}

/** Name, outcome or unit, and the figure of each point. */
function points(batch: SampleBatch | undefined) {
  if (batch === undefined) return undefined;
  return batch.series.map((series, row) => {
    const count = batch.histogram[row]?.count;
    const kind = series.attributes.has('error.type') ? 'failed' : series.unit;
    return [series.resource.get('service.name'), kind, count ?? batch.value[row]];
  });
}

test('reports what was recorded since the last time, and that nothing was', () => {
  const meter = meterAt(1_000);
  meter.open('a');
  expect(meter.open('a')).toBe(true);
  meter.record('a', 12, 'ok', ALLOCATION);
  meter.record('a', 20, 'error', ALLOCATION);
  meter.record('unknown', 20, 'ok', ALLOCATION);
  expect(meter.isAhead(1_000)).toBe(true);
  expect(meter.report(1_000)).toBeUndefined();
  const batch = meter.report(2_000);
  expect(points(batch)).toEqual([
    ['a', 's', 1],
    ['a', 'failed', 1],
    ['a', '%', 40],
    ['a', 'MiBy', 600],
    ['a', '%', 10],
  ]);
  expect([batch?.startMs[0], batch?.timeMs[0]]).toEqual([1_000, 2_000]);
  expect(batch?.histogram[0]).toMatchObject({ sum: 0.012, min: 0.012, max: 0.012 });
  expect(points(meter.report(3_000))?.slice(0, 2)).toEqual([
    ['a', 's', 0],
    ['a', 'failed', 0],
  ]);
  expect(meter.isAhead(3_000)).toBe(false);
});

test('a clock that goes back: nothing is reported twice, and nothing is lost', () => {
  const meter = meterAt(10_000);
  meter.open('a');
  meter.record('a', 1, 'ok', ALLOCATION);
  expect(meter.report(4_000)).toBeUndefined();
  meter.record('a', 1, 'ok', ALLOCATION);
  const batch = meter.report(5_000);
  expect([batch?.startMs[0], batch?.timeMs[0], batch?.histogram[0]?.count]).toEqual([4_000, 5_000, 2]);
});

test('a duration below zero or beyond the last bucket is counted, and a component without room is refused', () => {
  const meter = meterAt(0, 5);
  expect(meter.open('a')).toBe(true);
  expect(meter.open('b')).toBe(false);
  meter.record('a', -1, 'ok', ALLOCATION);
  meter.record('a', 1e9, 'ok', ALLOCATION);
  const histogram = meter.report(1)?.histogram[0];
  expect([histogram?.counts[0], Array.from(histogram?.counts ?? []).at(-1), histogram?.min]).toEqual([1, 1, 0]);
  meter.close('a');
  expect(meter.report(2)).toBeUndefined();
});
