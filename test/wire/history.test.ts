import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { History } from '../../agent/adapters/history/history.ts';
import { openHistory } from '../../agent/adapters/history/sqlite_history.ts';
import { HOUR_MS, MINUTE_MS, type Rollup } from '../../agent/core/history/rollup.ts';
import { minuteOf } from '../unit/history_rows.ts';
import { perfopt } from './command_rig.ts';
import { type Rig, startRig } from './control-rig.ts';

const folder = mkdtempSync(join(tmpdir(), 'perfopt-history-'));
const nowMs = Date.now();
const hourMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
let history: History;
let rig: Rig;

beforeAll(async () => {
  const log = pino({ level: 'silent' });
  const path = join(folder, 'history.db');
  history = openHistory({ path, log, maxBytes: 2 ** 26, retentionMs: 100 * 24 * HOUR_MS, nowMs: nowMs - 30 * HOUR_MS });
  await history.keep(
    Array.from({ length: 30 * 60 }, (_, i) => minuteAgo(i + 1)),
    nowMs,
  );
  const intervals = () => [{ ...minuteAgo(1), stepMs: 5_000, count: 1, sum: 20 }];
  rig = await startRig({ listen: ['127.0.0.1:0'] }, { history, intervals });
});
afterAll(async () => {
  await rig.stop();
  history.close([]);
  rmSync(folder, { recursive: true });
});

function minuteAgo(minutes: number): Rollup {
  const startMs = (Math.floor(nowMs / MINUTE_MS) - minutes) * MINUTE_MS;
  return { ...minuteOf(0, 100, 20, 4), startMs };
}

const ask = (...args: readonly string[]) => perfopt('history', ...args, '--address', rig.address);

test('minutes of the last hour, as a table', async () => {
  const { out, code } = await ask('embedder', 'responseTime');
  const lines = out.trimEnd().split('\n');
  expect(code).toBe(0);
  expect(lines[0]).toMatch(/^time +mean \(ms\) +min +p50 +p95 +p99 +max +count$/);
  expect(lines.length).toBeGreaterThanOrEqual(60);
  expect(lines[1]).toMatch(/Z +20 +20 .* 100$/);
});

test('more than one answer holds, in full', async () => {
  const { out } = await ask('embedder', 'responseTime', '--since', '30h', '--json');
  const { unit, steps } = JSON.parse(out);
  expect(unit).toBe('ms');
  expect(steps).toHaveLength(30 * 60);
  expect(new Set(steps.map(({ start }: { start: string }) => start)).size).toBe(30 * 60);
  expect(steps[0]).toMatchObject({ count: 100, sum: 2_000, min: 20, sketch: { weights: [25, 25, 25, 25] } });
});

test('hours', async () => {
  const { out } = await ask('embedder', 'responseTime', '--step', '1h', '--json');
  const { steps } = JSON.parse(out);
  const [first] = steps;
  expect(Date.parse(first.start) % HOUR_MS).toBe(0);
  expect(steps.length).toBeGreaterThanOrEqual(24);
  expect(steps.slice(1, -1).every(({ count }: { count: number }) => count === 6_000)).toBe(true);
  expect(Date.parse(steps.at(-1).start)).toBeLessThanOrEqual(hourMs);
});

test('at full resolution, from memory', async () => {
  const { out } = await ask('embedder', 'responseTime', '--step', 'interval', '--json');
  expect(JSON.parse(out)).toMatchObject({ unit: 'ms', steps: [{ count: 1, sum: 20 }] });
  const refused = await ask('embedder', 'errors', '--step', 'interval');
  expect(refused).toMatchObject({ code: 1, err: expect.stringMatching(/by the minute/) });
});

test('mistakes are answered with what is allowed', async () => {
  expect(await ask('embedder', 'latency')).toMatchObject({ code: 1, err: expect.stringMatching(/responseTime, /) });
  expect(await ask('nobody', 'cpu')).toMatchObject({ code: 1, err: expect.stringMatching(/there is of: embedder/) });
  expect(await ask('embedder', 'cpu')).toMatchObject({ code: 1, err: expect.stringMatching(/of: responseTime/) });
  expect(await ask('embedder', 'cpu', '--step', '5m')).toMatchObject({ code: 2 });
  expect(await ask('embedder', 'cpu', '--since', 'soon')).toMatchObject({ code: 2 });
  expect(await ask('embedder')).toMatchObject({ code: 2 });
});

test('without history that is said', async () => {
  const bare = await startRig({ listen: ['127.0.0.1:0'] });
  const { err } = await perfopt('history', 'embedder', 'cpu', '--address', bare.address);
  await bare.stop();
  expect(err).toMatch(/no history is kept/);
});
