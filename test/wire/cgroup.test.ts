import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type CgroupNotice, createCgroupLimiter } from '../../agent/adapters/cgroup/limiter.ts';
import type { Grant } from '../../agent/core/resources/allocation.ts';

/*
 * On the kernel's own cgroups, as far as this machine lets: a subtree of our own with a process in it where we may make one;
 * where its controllers are held by version 1 or not delegated, the limiter must say so and touch nothing; and where we may not
 * make one either, it must refuse the top of the hierarchy.
 */
const mount = readFileSync('/proc/self/mountinfo', 'latin1')
  .split('\n')
  .map((line) => line.split(' '))
  .find((fields) => fields.includes('cgroup2'))?.[4];

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A subtree with one leaf, in which a process sleeps; undefined where the machine does not let us. */
async function subtree(): Promise<{ readonly root: string; readonly controllers: string } | undefined> {
  if (mount === undefined) return undefined;
  const root = join(mount, `perfopt-test-${process.pid}`);
  try {
    mkdirSync(root);
    cleanups.push(() => rmdirSync(root));
  } catch {
    return undefined;
  }
  try {
    writeFileSync(join(mount, 'cgroup.subtree_control'), '+cpu +memory');
    writeFileSync(join(root, 'cgroup.subtree_control'), '+cpu +memory');
  } catch {
    // The controllers are elsewhere: the limiter has to find that out by itself.
  }
  const leaf = join(root, 'chat');
  mkdirSync(leaf);
  cleanups.push(() => rmdirSync(leaf));
  const child: ChildProcess = spawn('sleep', ['60']);
  cleanups.push(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
    await promise;
  });
  writeFileSync(join(leaf, 'cgroup.procs'), String(child.pid));
  return { root, controllers: readFileSync(join(leaf, 'cgroup.controllers'), 'latin1') };
}

function grant(resource: Grant['resource'], granted: number): Grant {
  return { component: 'chat', resource, granted, unit: '', weight: 1, boundBy: 'demand', reason: '' };
}

test('real cgroups are limited and put back, or left alone with the reason', async () => {
  const made = await subtree();
  const notices: CgroupNotice[] = [];
  let json: string | undefined;
  const limiter = createCgroupLimiter({
    root: made?.root ?? mount ?? '/proc',
    folders: { chat: made === undefined ? 'system.slice' : 'chat' },
    rules: { cpuWeight: false, cpuMax: true, memoryHigh: true, memoryMargin: 0.2 },
    intervalMs: 3_600_000,
    grants: () => [grant('cpu', 1.5), grant('memory', 512)],
    ledger: {
      read: () => json,
      write: (text) => {
        json = text;
      },
    },
    nowMs: () => 0,
    onNotice: (notice) => notices.push(notice),
  });
  await limiter.start();
  limiter.apply();
  const says = (file: string): string => readFileSync(join(made?.root ?? '', 'chat', file), 'latin1').trim();
  if (made !== undefined && /\bcpu\b/.test(made.controllers) && /\bmemory\b/.test(made.controllers)) {
    expect(says('cpu.max')).toBe('150000 100000');
    expect(says('memory.high')).toBe(String(512 * 2 ** 20));
    await limiter.stop(AbortSignal.timeout(1_000));
    expect(says('cpu.max')).toBe('max 100000');
    expect(says('memory.high')).toBe('max');
  } else {
    const reasons = notices.map((notice) => (notice.kind === 'refused' ? notice.reason : notice.kind));
    const expected =
      made !== undefined ? /controller is not delegated/ : /not in a cgroup2|top of the hierarchy|no such cgroup/;
    expect(reasons.length).toBeGreaterThan(0);
    for (const reason of reasons) expect(reason).toMatch(expected);
    expect(limiter.counts.writes).toBe(0);
    await limiter.stop(AbortSignal.timeout(1_000));
  }
  expect(json).toBeUndefined();
});
