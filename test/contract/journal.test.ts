import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import type { Journal } from '../../agent/adapters/journal/journal.ts';
import { openJournal } from '../../agent/adapters/journal/sqlite-journal.ts';
import type { Decision } from '../../agent/core/model.ts';
import { emptyDisk, memoryJournal } from './memory-journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'perfopt-journal-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

function sqlite(): () => Journal {
  const path = join(folder, `${files++}.db`);
  return () => openJournal({ path, log: pino({ level: 'silent' }), maxBytes: 2 ** 26, nowMs: 0 });
}

function memory(): () => Journal {
  const disk = emptyDisk();
  return () => memoryJournal(disk);
}

function decision(id: string, more: Partial<Decision> = {}): Decision {
  return { id, atMs: 1_000, component: 'embedder', kind: 'promoted', changes: [], reason: 'why', ...more };
}

const anyNumber = fc.double();
const anyDecision: fc.Arbitrary<Decision> = fc.record(
  {
    id: fc.constant(''),
    atMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
    component: fc.string({ unit: 'grapheme' }),
    kind: fc.constantFrom('promoted', 'rolled_back', 'futile'),
    trialId: fc.string(),
    changes: fc.array(
      fc.record({ knob: fc.string(), from: anyNumber, to: fc.oneof(anyNumber, fc.string(), fc.boolean()) }),
    ),
    reason: fc.string({ unit: 'grapheme' }),
    evidence: fc.record({
      objective: fc.dictionary(fc.string(), anyNumber),
      blocks: fc.array(
        fc.record({
          order: fc.constantFrom('ABB', 'BAB', 'BBA'),
          startMs: anyNumber,
          endMs: anyNumber,
          y: fc.array(anyNumber),
          difference: anyNumber,
        }),
      ),
      signals: fc.dictionary(fc.string(), anyNumber),
      alternatives: fc.array(fc.string()),
    }),
  },
  { requiredKeys: ['id', 'atMs', 'component', 'kind', 'changes', 'reason'] },
);

/** What every journal must do. `make()` gives a place; each call of what it returns is a start of the agent there. */
describe.each([
  ['on SQLite', sqlite],
  ['in memory', memory],
])('a journal %s', (_name, make) => {
  test('starts empty', () => {
    const journal = make()();
    expect(journal.epoch).toBe(0);
    expect(journal.readState()).toBeUndefined();
    expect(journal.decisions()).toEqual([]);
    journal.close();
  });

  test('raises the epoch above every earlier one, and to the clock where that is ahead', () => {
    const start = make();
    const epochs: number[] = [];
    for (const nowMs of [5_000, 5_001, 0, 9_000_999, 9_000_000]) {
      const journal = start();
      epochs.push(journal.raiseEpoch(nowMs));
      expect(journal.epoch).toBe(epochs.at(-1));
      journal.close();
    }
    expect(epochs).toEqual([5, 6, 7, 9_000, 9_001]);
  });

  test('keeps decisions and state over a restart', () => {
    const start = make();
    const first = start();
    first.commit([decision('a'), decision('b')], '{"trial":1}');
    first.commit([decision('c')], undefined);
    first.close();
    const second = start();
    expect(second.decisions().map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    expect(second.readState()).toBe('{"trial":1}');
    second.close();
  });

  test('keeps texts under names, over a restart, beside the state', () => {
    const start = make();
    const first = start();
    first.commit([], 'state');
    expect(first.kept('cgroups')).toBeUndefined();
    first.keep('cgroups', '[1]');
    first.keep('cgroups', '[2]');
    first.keep('other', '{}');
    first.close();
    const second = start();
    expect([second.kept('cgroups'), second.kept('other'), second.readState()]).toEqual(['[2]', '{}', 'state']);
    second.keep('cgroups', undefined);
    expect(second.kept('cgroups')).toBeUndefined();
    second.close();
  });

  test('gives back what it was given, to the bit', () => {
    const journal = make()();
    let n = 0;
    fc.assert(
      fc.property(anyDecision, (contents) => {
        const given = { ...contents, id: `${n++}` };
        journal.commit([given], undefined);
        expect(journal.decisions({ id: given.id })).toEqual([given]);
      }),
      { numRuns: 60 },
    );
    journal.close();
  });

  test('takes the same decision twice and refuses other contents under its id, whole', () => {
    const journal = make()();
    journal.commit([decision('a')], 'one');
    journal.commit([decision('a')], 'two');
    expect(() => journal.commit([decision('b'), decision('a', { reason: 'changed' })], 'three')).toThrow('a');
    expect(journal.decisions()).toEqual([decision('a')]);
    expect(journal.readState()).toBe('two');
    journal.close();
  });

  test('finds by id, trial, component, kind and time, newest first, up to a limit', () => {
    const journal = make()();
    journal.commit(
      [
        decision('a', { atMs: 1, trialId: 't1', kind: 'trial_started' }),
        decision('b', { atMs: 2, component: 'ranker' }),
        decision('c', { atMs: 3, trialId: 't1' }),
        decision('d', { atMs: 4 }),
      ],
      undefined,
    );
    const found = (query: Parameters<Journal['decisions']>[0]) => journal.decisions(query).map(({ id }) => id);
    expect(found({})).toEqual(['d', 'c', 'b', 'a']);
    expect(found({ id: 'b' })).toEqual(['b']);
    expect(found({ trialId: 't1' })).toEqual(['c', 'a']);
    expect(found({ component: 'embedder', kind: 'promoted' })).toEqual(['d', 'c']);
    expect(found({ sinceMs: 3 })).toEqual(['d', 'c']);
    expect(found({ limit: 1 })).toEqual(['d']);
    expect(found({ limit: -1 })).toEqual([]);
    journal.close();
  });

  test('who asked for what is kept over a restart, with what came of it, newest first', () => {
    const start = make();
    const first = start();
    const question = { who: 'operator "eve"', role: 'operator', address: 'socket', request: '{}', dryRun: false };
    const seq = first.auditAsked({ ...question, atMs: 1, action: 'Pin' });
    first.auditAnswered(seq, false, 'no such knob');
    first.auditAsked({ ...question, atMs: 2, action: 'Freeze', dryRun: true });
    first.close();
    const second = start();
    expect(second.audit()).toEqual([
      { ...question, atMs: 2, action: 'Freeze', dryRun: true },
      { ...question, atMs: 1, action: 'Pin', outcome: { ok: false, message: 'no such knob' } },
    ]);
    expect(second.audit({ action: 'Pin' })).toHaveLength(1);
    expect(second.audit({ sinceMs: 2, limit: 1 })).toMatchObject([{ action: 'Freeze' }]);
    second.prune(2);
    expect(second.audit()).toHaveLength(1);
    second.close();
  });

  test('prunes what was made before an instant, and only that', () => {
    const journal = make()();
    journal.commit([decision('a', { atMs: 1 }), decision('b', { atMs: 2 }), decision('c', { atMs: 3 })], 'state');
    expect(journal.prune(3)).toBe(2);
    expect(journal.decisions().map(({ id }) => id)).toEqual(['c']);
    expect(journal.readState()).toBe('state');
    journal.checkpoint();
    expect(journal.prune(3)).toBe(0);
    journal.close();
  });
});
