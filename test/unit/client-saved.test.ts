/** What a client keeps on disk over a restart of its process, and for how long it believes it. */
import { readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Holdings, type Report } from '../../agent/client/typescript/holdings.ts';
import { SavedValues } from '../../agent/client/typescript/saved_values.ts';
import { clientCommand, intSpec, settle, VirtualClock } from '../contract/control-client-rig.ts';
import { temporaryFolder } from '../wire/control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const WALL_MS = 1_700_000_000_000;

function place(): string {
  const folder = temporaryFolder();
  cleanups.push(() => folder[Symbol.dispose]());
  return join(folder.path, 'values.json');
}

/** One run of the process: its own monotonic clock, and a wall clock that the test sets. */
function start(path: string, component = 'embedder', wallMs = WALL_MS) {
  const clock = new VirtualClock();
  const reports: Report[] = [];
  const saved = new SavedValues(path, component, () => wallMs + clock.nowMs());
  const holdings = new Holdings(clock, (report) => reports.push(report), saved);
  const batch = holdings.declare(intSpec('batch'), undefined);
  return { clock, holdings, batch, reports };
}

/** As soon as the file says so. */
async function written(path: string, holds: (text: string) => boolean): Promise<void> {
  const isWritten = (): boolean => {
    try {
      return holds(readFileSync(path, 'utf8'));
    } catch {
      return false;
    }
  };
  if (isWritten()) return;
  const folder = watch(join(path, '..'));
  try {
    while (!isWritten()) await new Promise((resolve) => folder.once('change', resolve));
  } finally {
    folder.close();
  }
}

async function tuned(path: string): Promise<void> {
  const { holdings } = start(path);
  holdings.welcome(3);
  holdings.obey(clientCommand(5, [{ knob: 'batch', value: 16 }], { epoch: 3, leaseTtlMs: 1_000 }), 'n');
  await settle();
  await written(path, (text) => text.includes('"value":16'));
}

describe('a process that is started again', () => {
  test('within the lease: the value is in force, declared as held, and given up when the lease ends', async () => {
    const path = place();
    await tuned(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { batch, holdings, clock } = start(path, 'embedder', WALL_MS + 400);
    expect(batch.value).toBe(16);
    expect(holdings.held).toEqual([{ knob: 'batch', value: 16, epoch: 3, revision: 5, manual: false }]);
    clock.advance(599);
    expect(batch.value).toBe(16);
    clock.advance(1);
    expect(batch.value).toBe(8);
    await written(path, (text) => !text.includes('"value":16'));
  });

  test('within the lease: the agent goes on from there, and what is older than it is refused', async () => {
    const path = place();
    await tuned(path);
    const { batch, holdings, clock, reports } = start(path, 'embedder', WALL_MS + 400);
    holdings.welcome(3);
    holdings.renew(3, 5, 10_000);
    clock.advance(5_000);
    expect(batch.value).toBe(16);
    holdings.obey(clientCommand(4, [{ knob: 'batch', value: 32 }], { epoch: 3 }), 'late');
    expect(reports.at(-1)).toMatchObject({
      results: [{ state: 'superseded', error: expect.stringContaining('stale') }],
    });
    expect(batch.value).toBe(16);
  });

  test('after the lease, as another component, with another range, or with a wall clock put back: at its baseline or no longer than an hour', async () => {
    const path = place();
    await tuned(path);
    expect(start(path, 'embedder', WALL_MS + 1_000).batch.value).toBe(8);
    await tuned(path);
    expect(start(path, 'ranker', WALL_MS).batch.value).toBe(8);
    await tuned(path);
    const narrow = new SavedValues(path, 'embedder', () => WALL_MS);
    const holdings = new Holdings(new VirtualClock(), () => {}, narrow);
    expect(holdings.declare(intSpec('batch', { max: 10 }), undefined).value).toBe(8);
    await tuned(path);
    const past = start(path, 'embedder', WALL_MS - 1e9);
    expect(past.batch.value).toBe(16);
    past.clock.advance(3_600_000);
    expect(past.batch.value).toBe(8);
  });

  test.each(['', '{', '[]', '{"version":1,"component":"embedder","knobs":{"batch":{"value":16}}}', 'null'])(
    'over a file that says %j: as if there were none',
    (text) => {
      const path = place();
      writeFileSync(path, text);
      expect(start(path).batch.value).toBe(8);
    },
  );

  test('where nothing can be written: serves on', async () => {
    const { holdings, batch } = start('/nonexistent/values.json');
    holdings.welcome(1);
    holdings.obey(clientCommand(1, [{ knob: 'batch', value: 16 }]), 'n');
    await settle();
    expect(batch.value).toBe(16);
  });
});
