import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { openJournal } from '../../agent/adapters/journal/sqlite-journal.ts';
import { runCommandLine } from '../../agent/command/command.ts';
import type { Decision } from '../../agent/core/model.ts';
import { Loop } from './engine_loop.ts';

const folder = mkdtempSync(join(tmpdir(), 'perfopt-replay-'));
afterAll(() => rmSync(folder, { recursive: true }));

const loop = new Loop({ latencyS: ({ batch = 1 }) => 0.05 / batch ** 0.3 }).open();
loop.run(3_000, ({ kind }) => kind === 'promoted');

/** A state file with these decisions. */
function stateOf(name: string, decisions: readonly Decision[]): string {
  const path = join(folder, name);
  const journal = openJournal({ path, log: pino({ level: 'silent' }), maxBytes: 2 ** 26, nowMs: 0 });
  journal.commit(decisions, undefined);
  journal.close();
  return path;
}

async function replay(state: string, ...more: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine({
    argv: ['replay', '--state', state, ...more],
    environment: {},
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    hasColours: false,
    onSignal: () => () => {},
    exit: () => {},
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

test('a journal as it was written: all as recorded', async () => {
  const state = stateOf('good.db', loop.decisions);
  const { code, out } = await replay(state);
  expect(out).toMatch(/^\d+ decisions, \d+ with a proof, \d+ figures compared: all as recorded$/);
  expect(code).toBe(0);
  expect(JSON.parse((await replay(state, '--json')).out)).toMatchObject({ mismatches: [], unrecorded: 0 });
  expect(await replay(state, '--component', 'nobody')).toMatchObject({ code: 1, err: 'there are no such decisions' });
});

test('a journal that was touched: which decision, what is recorded and what it comes to; exit code 1', async () => {
  const touched = loop.decisions.map((decision) => {
    const { evidence } = decision;
    if (decision.kind !== 'promoted' || evidence?.proof === undefined) return decision;
    return { ...decision, evidence: { ...evidence, proof: { ...evidence.proof, logBetter: 99 } } };
  });
  const { code, out } = await replay(stateOf('bad.db', touched));
  const promoted = loop.decisions.find(({ kind }) => kind === 'promoted');
  expect(code).toBe(1);
  expect(out).toContain(`${promoted?.id}: stake on better is recorded as 99 and comes to`);
  expect(out).toContain('1 are not as recorded');
});
