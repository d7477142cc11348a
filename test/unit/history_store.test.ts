import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import type { History } from '../../agent/adapters/history/history.ts';
import { openHistory } from '../../agent/adapters/history/sqlite_history.ts';
import { HOUR_MS, MINUTE_MS } from '../../agent/core/history/rollup.ts';
import { LogSketch } from '../../agent/core/history/sketch.ts';
import { minuteOf, OF, T0 } from './history_rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'perfopt-history-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `${files++}.db`);

function open(path: string, nowMs = T0, more: { maxBytes?: number; retentionMs?: number } = {}): History {
  const log = pino({ level: 'silent' });
  return openHistory({ path, log, maxBytes: 2 ** 26, retentionMs: 24 * HOUR_MS, nowMs, ...more });
}

const minutes = { ...OF, stepMs: MINUTE_MS, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER } as const;
const hours = { ...minutes, stepMs: HOUR_MS } as const;

test('a minute is replaced by what is known of it later, and is there after a restart', async () => {
  const path = newPath();
  const first = open(path);
  await first.keep([minuteOf(0, 10, 5)], T0 + MINUTE_MS);
  await first.keep([minuteOf(0, 12, 5)], T0 + 2 * MINUTE_MS);
  first.close([minuteOf(1, 3, 7)]);
  const again = open(path, T0 + HOUR_MS);
  const rows = again.read(minutes);
  expect(rows).toMatchObject([
    { ...OF, startMs: T0, stepMs: MINUTE_MS, count: 12, sum: 60, min: 5, max: 5 },
    { startMs: T0 + MINUTE_MS, count: 3, sum: 21 },
  ]);
  expect(rows[0]?.sketch).toBeInstanceOf(LogSketch);
  expect(again.kept()).toEqual([OF]);
  expect(again.read({ ...minutes, component: 'nobody' })).toEqual([]);
  again.close([]);
});

test('what two runs saw of the same minute adds up', async () => {
  const path = newPath();
  open(path).close([minuteOf(0, 10, 5)]);
  const next = open(path, T0 + 30_000);
  await next.keep([minuteOf(0, 4, 100)], T0 + MINUTE_MS);
  // Told again, and more of it: the earlier run's share counts once.
  await next.keep([minuteOf(0, 6, 100)], T0 + 2 * MINUTE_MS);
  expect(next.read(minutes)).toMatchObject([{ count: 16, sum: 650, min: 5, max: 100 }]);
  next.close([]);
});

test('hours are made of minutes when they are over, and until then when asked for', async () => {
  const path = newPath();
  const history = open(path);
  for (let minute = 0; minute < 150; minute++) {
    await history.keep([minuteOf(minute, 1, minute)], T0 + (minute + 1) * MINUTE_MS);
  }
  const sums = [0, 1, 2].map((hour) => Array.from({ length: hour < 2 ? 60 : 30 }, (_, i) => 60 * hour + i));
  const expected = sums.map((all, hour) => ({
    startMs: T0 + hour * HOUR_MS,
    stepMs: HOUR_MS,
    count: all.length,
    sum: all.reduce((a, b) => a + b, 0),
  }));
  expect(history.read(hours)).toMatchObject(expected);
  expect(history.read({ ...hours, fromMs: T0 + HOUR_MS, limit: 1 })).toMatchObject([expected[1]]);
  expect(history.read({ ...minutes, fromMs: T0 + 100 * MINUTE_MS, toMs: T0 + 103 * MINUTE_MS })).toHaveLength(3);
  history.close([]);
  // The rows of the finished hours no longer need their minutes.
  const database = new DatabaseSync(path);
  database.exec(`DELETE FROM rollups WHERE step_ms = ${MINUTE_MS}`);
  database.close();
  const again = open(path, T0 + 4 * HOUR_MS);
  expect(again.read(hours)).toMatchObject(expected.slice(0, 2));
  again.close([]);
});

test('hours that ended while no agent ran are made up for', async () => {
  const path = newPath();
  open(path).close([minuteOf(3, 2, 8), minuteOf(4, 2, 10)]);
  const later = open(path, T0 + 9 * HOUR_MS);
  expect(later.read(hours)).toMatchObject([{ startMs: T0, count: 4, sum: 36 }]);
  await later.keep([minuteOf(9 * 60, 1, 1)], T0 + 9 * HOUR_MS + MINUTE_MS);
  expect(later.read(hours)).toMatchObject([
    { startMs: T0, count: 4, sum: 36 },
    { startMs: T0 + 9 * HOUR_MS, count: 1 },
  ]);
  later.close([]);
});

test('what is older than the retention goes, minutes and hours alike', async () => {
  const history = open(newPath(), T0, { retentionMs: 2 * HOUR_MS });
  for (const minute of [0, 30, 200]) await history.keep([minuteOf(minute, 1, 1)], T0 + (minute + 1) * MINUTE_MS);
  await history.prune(T0 + 201 * MINUTE_MS);
  expect(history.read(minutes)).toMatchObject([{ startMs: T0 + 200 * MINUTE_MS }]);
  expect(history.read(hours)).toMatchObject([{ startMs: T0 + 3 * HOUR_MS }]);
  expect(history.counts.pruned).toBe(2);
  await history.prune(T0 + 24 * HOUR_MS);
  expect(history.kept()).toEqual([]);
  history.close([]);
});

test('the file keeps its limit: the oldest rows go, and are counted', async () => {
  const path = newPath();
  const maxBytes = 2 ** 20;
  const history = open(path, T0, { maxBytes, retentionMs: 3650 * 24 * HOUR_MS });
  for (let minute = 0; minute < 6_000; minute += 60) {
    const batch = Array.from({ length: 60 }, (_, i) => minuteOf(minute + i, 40, 1 + i, 40));
    await history.keep(batch, T0 + (minute + 60) * MINUTE_MS);
    expect(history.problem).toBeUndefined();
  }
  expect(history.bytes).toBeLessThanOrEqual(maxBytes);
  expect(history.counts.evicted).toBeGreaterThan(0);
  expect(history.read({ ...minutes, fromMs: T0 + 5_999 * MINUTE_MS })).toHaveLength(1);
  expect(history.read({ ...minutes, toMs: T0 + MINUTE_MS })).toHaveLength(0);
  history.close([]);
  expect(statSync(path).size).toBeLessThanOrEqual(maxBytes);
});

test('a disk that refuses costs nothing that it takes later', async () => {
  const path = newPath();
  const history = open(path);
  await history.keep([minuteOf(0, 1, 1)], T0 + MINUTE_MS);
  const other = new DatabaseSync(path);
  other.exec('BEGIN IMMEDIATE');
  await history.keep([minuteOf(1, 1, 1), minuteOf(2, 1, 1, 1, 'other')], T0 + 2 * MINUTE_MS);
  expect(history.problem).toMatch(/locked/);
  other.exec('COMMIT');
  other.close();
  await history.keep([], T0 + 3 * MINUTE_MS);
  expect(history.problem).toBeUndefined();
  expect(history.read(minutes)).toHaveLength(2);
  expect(history.read({ ...minutes, component: 'other' })).toHaveLength(1);
  history.close([]);
});

test('a corrupt file is set aside; one that is not ours, or too new, is left alone', () => {
  const corrupt = newPath();
  writeFileSync(corrupt, 'x'.repeat(10_000));
  const history = open(corrupt);
  history.close([minuteOf(0, 1, 1)]);
  expect(readdirSync(folder).some((name) => name.includes('.corrupt-'))).toBe(true);
  const theirs = newPath();
  const database = new DatabaseSync(theirs);
  database.exec('CREATE TABLE shop (x)');
  database.close();
  expect(() => open(theirs)).toThrow(/not one of this agent/);
  const newer = newPath();
  open(newer).close([]);
  const touched = new DatabaseSync(newer);
  touched.exec('PRAGMA user_version = 99');
  touched.close();
  expect(() => open(newer)).toThrow(/version 99/);
});

test('kill -9 in the midst of writing leaves every minute that was kept', async () => {
  const path = newPath();
  const child = fork(join(import.meta.dirname, 'history_writer.ts'), [path]);
  let kept = 0;
  for await (const [message] of onMessages(child)) {
    kept = Number(message);
    if (kept >= 200) break;
  }
  child.kill('SIGKILL');
  await once(child, 'exit');
  const history = open(path, T0 + 100 * HOUR_MS);
  const rows = history.read({ ...minutes, limit: 1_000 });
  expect(rows.length).toBeGreaterThanOrEqual(kept);
  expect(rows.every(({ count, sum }) => count === 10 && sum === 50)).toBe(true);
  history.close([]);
});

function onMessages(child: ReturnType<typeof fork>): AsyncIterable<[unknown]> {
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) yield [(await once(child, 'message'))[0]];
    },
  };
}
