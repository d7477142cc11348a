/**
 * Live bytes of one series in decoder, interner and engine, after two full collections: what resident memory hides behind
 * garbage. A process of its own, started with `--expose-gc`; prints one number.
 */
import { MetricsDecoder } from '../../../agent/adapters/otlp/decode.ts';
import { createEngine } from '../../../agent/core/engine.ts';
import { SeriesInterner } from '../../../agent/core/series/interner.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../../agent/core/settings.ts';
import { LoadSource, POINTS_PER_REQUEST } from './load.ts';

const INSTANCES = 50;
const ROUNDS = 3;
const maxSeries = 2 * INSTANCES * POINTS_PER_REQUEST;
const source = new LoadSource();
const decoder = new MetricsDecoder({ interner: new SeriesInterner({ maxSeries }), maxCachedKeys: 2 * maxSeries });
const settings = { ...DEFAULT_ENGINE_SETTINGS, capacity: { ...DEFAULT_ENGINE_SETTINGS.capacity, maxSeries } };
const engine = createEngine({ settings, seed: 1, epoch: 1 });

function takeIn(instance: number): void {
  for (let round = 0; round < ROUNDS; round++) {
    const nowMs = Date.now();
    const decoded = decoder.decode(source.next(instance), nowMs);
    if (!decoded.ok) throw new Error(decoded.message);
    engine.step(nowMs, { kind: 'samples', batch: decoded.batch });
  }
}

function liveBytes(): number {
  if (globalThis.gc === undefined) throw new Error('start this with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

// What is there once for all series is there before the first measurement.
takeIn(0);
const before = liveBytes();
for (let instance = 1; instance <= INSTANCES; instance++) takeIn(instance);
console.log(Math.round((liveBytes() - before) / (INSTANCES * POINTS_PER_REQUEST)));
