import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createEngine, type Engine } from '../../agent/core/engine.ts';
import type { HistoryReader } from '../../agent/core/history/reader.ts';
import { HOUR_MS, type Rollup } from '../../agent/core/history/rollup.ts';
import type { OptimizerEvent } from '../../agent/core/model.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { InsightKeeper, reportCapacity, restoreInsights, warmForecasts } from '../../agent/upkeep/insights.ts';
import { memoryJournal } from '../contract/memory-journal.ts';
import { Loop } from './engine_loop.ts';

const log = pino({ level: 'silent' });
const newEngine = () => createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 2 });

test('detectors outlive the agent, component by component, and one that is broken starts afresh', async () => {
  const loop = new Loop();
  loop.run(900);
  const journal = memoryJournal();
  const keeper = new InsightKeeper(loop.engine, journal);
  await keeper.keep();
  const engine = newEngine();
  restoreInsights(engine, journal, loop.nowMs, log);
  expect(engine.insights()).toEqual(loop.engine.insights());
  expect(engine.saveInsight('c')).toEqual(loop.engine.saveInsight('c'));

  journal.keep('insight:c', '{"version":7}');
  const other = newEngine();
  restoreInsights(other, journal, loop.nowMs, log);
  expect(other.insights()).not.toContain('c');

  keeper.keepNow();
  const late = newEngine();
  restoreInsights(late, journal, loop.nowMs + 36 * 24 * HOUR_MS, log);
  expect(late.insights()).toEqual([]);
  new InsightKeeper(late, journal).keepNow();
  expect(journal.kept('insight:c')).toBeUndefined();
});

test('a few components are all written each minute, of many each within ten, and who is new comes first', async () => {
  const written: string[] = [];
  const journal = { kept: () => undefined, keep: (name: string) => void written.push(name) };
  const state = 'x'.repeat(600 * 1024);
  let names = ['a', 'b', 'c', 'd'];
  const engine: Engine = Object.assign(newEngine(), {
    insights: () => names,
    saveInsight: () => ({ state }),
  });
  const keeper = new InsightKeeper(engine, journal);
  const turn = async (): Promise<string> => {
    written.length = 0;
    await keeper.keep();
    return written
      .filter((name) => name !== 'insights')
      .map((name) => name.replace('insight:', ''))
      .join('');
  };
  expect([await turn(), await turn(), await turn()]).toEqual(['ab', 'cd', 'ab']);
  names = ['a', 'b', 'd', 'e'];
  expect([await turn(), await turn()]).toEqual(['ed', 'ab']);
  names = Array.from({ length: 60 }, (_, i) => String.fromCodePoint(0x100 + i));
  const turns = [];
  for (let minute = 0; minute < 10; minute++) turns.push(await turn());
  expect(new Set(turns.join('')).size).toBe(60);
});

test('hours of earlier runs warm the forecasts that have none of their own, and the capacity report speaks of them', async () => {
  const nowMs = 500_000 * HOUR_MS + 60_000;
  const read: HistoryReader['read'] = ({ component, signal, fromMs, toMs }) =>
    Array.from({ length: 72 }, (_, i): Rollup => {
      const startMs = (500_000 - 72 + i) * HOUR_MS;
      return { component, signal, startMs, stepMs: HOUR_MS, count: 10, sum: 10 * (50 + 40 * Math.sin(i / 3.82)) };
    }).filter(({ startMs }) => startMs >= fromMs && startMs < toMs && startMs !== (500_000 - 40) * HOUR_MS);
  const history: HistoryReader = { read, kept: () => [{ component: 'c', signal: 'throughput' }] };
  const engine = newEngine();
  expect(warmForecasts(engine, history, nowMs)).toBeGreaterThan(0);
  expect(warmForecasts(engine, history, nowMs)).toBe(0);
  expect(engine.forecastSignals('c')).toContain('throughputPerSecond');

  const loop = new Loop();
  loop.run(600);
  const events: OptimizerEvent[] = [];
  await reportCapacity(loop.engine, (event) => events.push(event), loop.nowMs, log);
  expect(events).toMatchObject([{ type: 'capacity_report', component: 'c', data: { component: 'c' } }]);
});
