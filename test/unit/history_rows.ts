import { MINUTE_MS, type Rollup } from '../../agent/core/history/rollup.ts';
import { LogSketch } from '../../agent/core/history/sketch.ts';

/** A whole hour. */
export const T0 = 1_800_000_000_000;
export const OF = { component: 'embedder', signal: 'responseTime' } as const;

/** Minute number `minute` with `count` requests of `value` ms each; `buckets` wide, where a large row is wanted. */
export function minuteOf(minute: number, count: number, value: number, buckets = 1, component = 'embedder'): Rollup {
  const sketch = new LogSketch();
  for (let i = 0; i < buckets; i++) sketch.add(value * 1.2 ** i, count / buckets);
  return {
    ...{ ...OF, component, startMs: T0 + minute * MINUTE_MS, stepMs: MINUTE_MS },
    ...{ count, sum: count * value, min: value, max: value, sketch },
  };
}
