import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { cleanMappings, createStartMemory } from '../../agent/adapters/start_memory.ts';

const PROGRAM = '/usr/local/bin/node';

function mapping(range: string, access: string, path: string, anonymousKib: number): string {
  return [
    `${range} ${access} 00000000 fe:00 5480712                            ${path}`,
    'Size:               3352 kB',
    'Rss:                 512 kB',
    `Anonymous:           ${anonymousKib} kB`,
    'VmFlags: rd mr mw me',
  ].join('\n');
}

describe('which pages may be dropped', () => {
  test('those of the program that are read-only and were never written', () => {
    const smaps = [
      mapping('00400000-00746000', 'r--p', PROGRAM, 0),
      mapping('00746000-03044000', 'r-xp', PROGRAM, 0),
      mapping('03044000-03200000', 'r--p', PROGRAM, 4),
      mapping('03200000-03300000', 'rw-p', PROGRAM, 0),
      mapping('04a00000-05000000', 'rw-p', '[heap]', 9000),
      mapping('7fe366140000-7fe366345000', 'r--p', '/usr/lib/libc.so.6', 0),
      mapping('7fe366400000-7fe366500000', 'rw-p', '', 0),
    ].join('\n');
    expect(cleanMappings(smaps, PROGRAM)).toEqual([
      { start: 0x400000n, bytes: 0x346000n },
      { start: 0x746000n, bytes: 0x28fe000n },
    ]);
  });

  test('nothing of a program that has been replaced, nor of text that is no list of mappings', () => {
    expect(cleanMappings(mapping('00400000-00746000', 'r--p', `${PROGRAM} (deleted)`, 0), PROGRAM)).toEqual([]);
    expect(cleanMappings('', PROGRAM)).toEqual([]);
  });

  test.runIf(process.platform === 'linux')('there are some in a real process', () => {
    const mappings = cleanMappings(readFileSync('/proc/self/smaps', 'latin1'), process.execPath);
    expect(mappings.reduce((sum, { bytes }) => sum + bytes, 0n)).toBeGreaterThan(10n * 2n ** 20n);
  });
});

test.runIf(process.platform === 'linux')(
  'the process goes on as if nothing had happened, with less of it resident',
  async () => {
    const lines: { msg: string; beforeBytes?: number; afterBytes?: number }[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const memory = createStartMemory(log);
    await memory.release();
    await memory.release();
    expect(lines.map(({ msg }) => msg)).toEqual(Array(2).fill('memory that only the start needed is given back'));
    const [first] = lines;
    expect(first?.afterBytes).toBeLessThan(Number(first?.beforeBytes));
    // A parser, a compiler and a new realm: code and tables that were surely dropped.
    expect(
      runInContext('[..."aé"].map((c) => c.normalize("NFD").length).join() + /(?<=a)b/u.test("ab")', createContext()),
    ).toBe('1,2true');
  },
);

test.runIf(process.platform === 'linux')('only a process that has grown is looked at again', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const memory = createStartMemory(log);
  // Nothing to compare with before the first time.
  await memory.releaseIfGrown(0);
  expect(lines).toHaveLength(0);
  await memory.release();
  const grown = Buffer.alloc(64 * 2 ** 20, 1);
  await memory.releaseIfGrown(60_000);
  expect(lines).toHaveLength(2);
  const more = Buffer.alloc(64 * 2 ** 20, 1);
  await memory.releaseIfGrown(80_000);
  expect(lines).toHaveLength(2);
  await memory.releaseIfGrown(90_000);
  expect(lines).toHaveLength(3);
  await memory.releaseIfGrown(120_000);
  expect(lines).toHaveLength(3);
  expect(grown.length + more.length).toBe(128 * 2 ** 20);
});
