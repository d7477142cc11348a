import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JournalError } from '../../agent/adapters/journal/journal.ts';
import { openJournalReader } from '../../agent/adapters/journal/reader.ts';
import { openJournal } from '../../agent/adapters/journal/sqlite-journal.ts';
import type { Decision } from '../../agent/core/model.ts';

let folder = '';
let path = '';
let logged: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfopt-journal-'));
  path = join(folder, 'state.db');
  logged = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(more: { path?: string; maxBytes?: number } = {}) {
  const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(line) });
  return openJournal({ path, log, maxBytes: 2 ** 26, nowMs: Date.UTC(2026, 0, 2), ...more });
}

function decision(id: string, reason = 'why'): Decision {
  return { id, atMs: 1, component: 'c', kind: 'promoted', changes: [], reason };
}

function thrown(work: () => unknown): JournalError {
  try {
    work();
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('kill -9', () => {
  test('loses no acknowledged decision, leaves none half, and the epoch rises', async () => {
    const epochs: number[] = [];
    const acknowledged: string[] = [];
    for (const [round, killAfter] of [1, 17, 60].entries()) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'journal-child.ts'), path, String(round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      let seen = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        const [kind, value = ''] = line.split(' ');
        if (kind === 'epoch') epochs.push(Number(value));
        else acknowledged.push(value);
        if (kind === 'id' && ++seen === killAfter) child.kill('SIGKILL');
      }
      expect(await exited).toEqual([null, 'SIGKILL']);

      const journal = open();
      const kept = journal.decisions({ limit: 100_000 }).map(({ id }) => id);
      expect(kept).toEqual(expect.arrayContaining(acknowledged));
      // State and decision were one transaction: the last state names the last decision.
      expect(journal.readState()).toBe(JSON.stringify({ last: kept[0] }));
      epochs.push(journal.raiseEpoch(0));
      journal.close();
    }
    expect(epochs).toEqual([1, 2, 3, 4, 5, 6]);
    expect(logged).toEqual([]);
  });
});

describe('one writer', () => {
  test('a second one is told which file and what to do, and gets it once the first is gone', () => {
    const first = open();
    const error = thrown(() => open());
    expect(error.fault).toBe('locked');
    expect(error.message).toContain(path);
    expect(error.message).toContain('another agent is using it');
    first.commit([decision('a')], undefined);
    first.close();
    const second = open();
    expect(second.decisions()).toHaveLength(1);
    second.close();
  });

  test('close may be called twice', () => {
    const journal = open();
    journal.close();
    journal.close();
    open().close();
  });
});

describe('a reader', () => {
  test('sees what the running agent commits, and cannot write', () => {
    const journal = open();
    journal.raiseEpoch(0);
    const reader = openJournalReader(path);
    expect(reader.decisions()).toEqual([]);
    journal.commit([decision('a')], 'state');
    expect(reader.decisions()).toEqual([decision('a')]);
    expect(reader.readState()).toBe('state');
    expect(reader.epoch).toBe(1);
    journal.checkpoint();
    journal.commit([decision('b')], undefined);
    expect(reader.decisions({ limit: 1 })).toEqual([decision('b')]);
    journal.close();
    expect(reader.decisions()).toHaveLength(2);
    reader.close();
  });

  test('reads after the agent has gone', () => {
    const journal = open();
    journal.commit([decision('a')], undefined);
    journal.close();
    const reader = openJournalReader(path);
    expect(reader.decisions()).toEqual([decision('a')]);
    reader.close();
  });

  test('refuses a file that is missing or of another kind, and creates nothing', () => {
    expect(thrown(() => openJournalReader(path)).message).toContain('there is no such file');
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(path, 'not a database at all, but long enough to have a header of its own');
    expect(thrown(() => openJournalReader(path)).fault).toBe('corrupt');
    rmSync(path);
    new DatabaseSync(path).exec('CREATE TABLE theirs (x)');
    expect(thrown(() => openJournalReader(path)).message).toContain('not a state file of this agent');
  });
});

describe('a file that cannot be used', () => {
  test('a folder in its place, and a file where a folder should be', () => {
    expect(thrown(() => open({ path: folder })).message).toMatch(/EISDIR.*set state\.path/);
    writeFileSync(join(folder, 'file'), '');
    const error = thrown(() => open({ path: join(folder, 'file', 'state.db') }));
    expect(error).toMatchObject({ fault: 'unusable', retryable: false });
  });

  test('folders that are missing are made, and nobody else may read the file', () => {
    const deep = join(folder, 'a', 'b', 'state.db');
    open({ path: deep }).close();
    expect(statSync(deep).mode & 0o777).toBe(0o600);
  });

  test("somebody else's database or file is left alone", () => {
    const theirs = new DatabaseSync(path);
    theirs.exec('CREATE TABLE theirs (x)');
    theirs.close();
    expect(thrown(() => open()).message).toContain('not one of this agent');

    const notes = join(folder, 'notes.txt');
    writeFileSync(notes, 'dear diary, '.repeat(200));
    expect(thrown(() => open({ path: notes })).message).toContain('it is not a database');
    expect(readFileSync(notes, 'utf8')).toBe('dear diary, '.repeat(200));
  });

  test('a file of a newer agent is left alone', () => {
    open().close();
    const newer = new DatabaseSync(path);
    newer.exec('PRAGMA user_version = 999');
    newer.close();
    expect(thrown(() => open()).message).toMatch(/made by a newer agent \(version 999/);
    expect(logged).toEqual([]);
  });

  test('a full disk fails the commit, says so, and what was there stays', () => {
    const journal = open({ maxBytes: 200_000 });
    journal.commit([decision('first')], 'state');
    const error = thrown(() => {
      for (let n = 0; n < 1_000; n++) journal.commit([decision(`${n}`, 'x'.repeat(4_000))], undefined);
    });
    expect(error).toMatchObject({ fault: 'full', retryable: true });
    expect(error.message).toMatch(/free disk space/);
    const before = journal.decisions({ limit: 1_000 }).length;
    expect(journal.readState()).toBe('state');
    // Pruning makes room again, and gives it back.
    expect(journal.prune(2)).toBe(before);
    journal.checkpoint();
    journal.commit([decision('after')], undefined);
    journal.close();
    expect(statSync(path).size).toBeLessThan(100_000);
  });
});

describe('a corrupt file', () => {
  function filled(): void {
    const journal = open();
    for (let n = 0; n < 200; n++) journal.commit([decision(`${n}`, 'x'.repeat(500))], 'state');
    journal.close();
  }

  test.each([
    ['its header overwritten', (bytes: Buffer) => bytes.fill(0x5a, 0, 100)],
    ['its pages overwritten', (bytes: Buffer) => bytes.fill(0x5a, 4096)],
    ['cut short', (bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length / 2))],
  ])('with %s is set aside, said loudly, and the start is clean', (_how, damage) => {
    filled();
    const bytes = readFileSync(path);
    const damaged = Buffer.from(damage(bytes));
    writeFileSync(path, damaged);

    const journal = open();
    expect(journal.decisions()).toEqual([]);
    expect(journal.readState()).toBeUndefined();
    journal.commit([decision('new')], undefined);
    journal.close();

    const aside = `${path}.corrupt-2026-01-02T000000.000Z`;
    expect(readFileSync(aside)).toEqual(damaged);
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({ level: 50, path, aside });
    const reopened = open();
    expect(reopened.decisions()).toEqual([decision('new')]);
    reopened.close();
  });

  test('a torn end of the write-ahead log costs only what was never acknowledged', () => {
    const journal = open();
    journal.commit([decision('a')], undefined);
    const copy = join(folder, 'copy.db');
    copyFileSync(path, copy);
    writeFileSync(`${copy}-wal`, Buffer.concat([readFileSync(`${path}-wal`), Buffer.alloc(1000, 0x5a)]));
    const torn = open({ path: copy });
    expect(torn.decisions()).toEqual([decision('a')]);
    torn.close();
    journal.close();
    expect(existsSync(`${copy}.corrupt-2026-01-02T000000.000Z`)).toBe(false);
  });
});
