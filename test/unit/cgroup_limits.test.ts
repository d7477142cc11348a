import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it, test } from 'vitest';
import { type CgroupNotice, createCgroupLimiter, type LimiterOptions } from '../../agent/adapters/cgroup/limiter.ts';
import { isNear, limitsOf } from '../../agent/adapters/cgroup/limits.ts';
import type { Grant } from '../../agent/core/resources/allocation.ts';

const CGROUP2 = 0x63677270;
const MIB = 2 ** 20;
const ALL = { cpuWeight: true, cpuMax: true, memoryHigh: true, memoryMargin: 0.2 };

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function grant(component: string, resource: Grant['resource'], granted: number): Grant {
  return { component, resource, granted, unit: '', weight: 1, boundBy: 'demand', reason: '' };
}

/** A tree as the kernel shows it, with the files that matter. */
class FakeTree {
  readonly root = mkdtempSync(join(tmpdir(), 'perfopt-cgroup-'));

  constructor(...paths: readonly string[]) {
    folders.push(this.root);
    writeFileSync(join(this.root, 'cgroup.type'), 'domain\n');
    for (const path of paths) this.make(path);
  }

  make(path: string): void {
    mkdirSync(join(this.root, path), { recursive: true });
    const files = {
      'cgroup.type': 'domain\n',
      'cgroup.procs': '17\n',
      'cpu.weight': '100\n',
      'cpu.max': 'max 100000\n',
      'memory.high': 'max\n',
      'memory.current': `${100 * MIB}\n`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.root, path, name), text);
  }

  set(path: string, file: string, text: string): void {
    writeFileSync(join(this.root, path, file), text);
  }

  read(path: string, file: string): string {
    return readFileSync(join(this.root, path, file), 'utf8').trim();
  }
}

interface Given extends Partial<LimiterOptions> {
  readonly memory?: { json: string | undefined };
}

function limiterOn(tree: FakeTree, grants: readonly Grant[], { memory = { json: undefined }, ...more }: Given = {}) {
  const notices: CgroupNotice[] = [];
  const limiter = createCgroupLimiter({
    root: tree.root,
    folders: { chat: 'chat', batch: 'batch' },
    rules: ALL,
    intervalMs: 3_600_000,
    grants: () => grants,
    ledger: {
      read: () => memory.json,
      write: (json) => {
        memory.json = json;
      },
    },
    nowMs: () => 42,
    onNotice: (notice) => notices.push(notice),
    fileSystemType: () => CGROUP2,
    ...more,
  });
  return { limiter, notices, memory };
}

const deadline = () => AbortSignal.timeout(1_000);
const both = [
  grant('chat', 'cpu', 3),
  grant('batch', 'cpu', 1),
  grant('chat', 'memory', 1_024),
  grant('batch', 'memory', 256),
];

describe('limits', () => {
  test('are the allocation in the kernel’s words', () => {
    expect(limitsOf(both, ALL, () => 0)).toEqual([
      { component: 'chat', file: 'cpu.weight', value: '150' },
      { component: 'chat', file: 'cpu.max', value: '300000 100000' },
      { component: 'batch', file: 'cpu.weight', value: '50' },
      { component: 'batch', file: 'cpu.max', value: '100000 100000' },
      { component: 'chat', file: 'memory.high', value: String(1_024 * MIB) },
      { component: 'batch', file: 'memory.high', value: String(256 * MIB) },
    ]);
    expect(limitsOf(both, { ...ALL, cpuWeight: false, cpuMax: false, memoryHigh: false }, () => 0)).toEqual([]);
  });

  it('never hold memory below what is used and the margin, and stay in the kernel’s ranges', () => {
    const amount = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(amount, amount, amount, (cpu, memory, used) => {
        const grants = [grant('chat', 'cpu', cpu), grant('batch', 'cpu', 1), grant('chat', 'memory', memory)];
        for (const { file, value } of limitsOf(grants, ALL, () => used * MIB)) {
          const number = Number(value.split(' ')[0]);
          if (file === 'memory.high') {
            expect(number).toBeGreaterThanOrEqual(Math.max(memory, used * 1.2) * MIB);
            expect(number % 65_536).toBe(0);
          }
          if (file === 'cpu.weight') expect(number >= 1 && number <= 10_000).toBe(true);
          if (file === 'cpu.max') expect(number).toBeGreaterThanOrEqual(1_000);
        }
      }),
    );
    expect(limitsOf(both, ALL, () => undefined).some(({ file }) => file === 'memory.high')).toBe(false);
  });

  test('are not written again for a trifle, but memory that grows is followed at once', () => {
    expect(isNear('cpu.weight', '102', '100')).toBe(true);
    expect(isNear('cpu.weight', '106', '100')).toBe(false);
    expect(isNear('cpu.max', '50000 50000', '100000 100000')).toBe(true);
    expect(isNear('cpu.max', '100000 100000', 'max 100000')).toBe(false);
    expect(isNear('memory.high', '1010', '1000')).toBe(false);
    expect(isNear('memory.high', '990', '1000')).toBe(true);
  });
});

describe('a limiter', () => {
  test('applies, shows what it did, and puts everything back at the stop', async () => {
    const tree = new FakeTree('chat', 'batch');
    tree.set('chat', 'cpu.weight', '250\n');
    const { limiter, memory, notices } = limiterOn(tree, both);
    await limiter.start();
    expect(tree.read('chat', 'cpu.weight')).toBe('250');
    limiter.apply();
    expect(tree.read('chat', 'cpu.weight')).toBe('150');
    expect(tree.read('batch', 'cpu.max')).toBe('100000 100000');
    expect(tree.read('batch', 'memory.high')).toBe(String(256 * MIB));
    expect(limiter.applied[0]).toEqual({
      ...{ component: 'chat', file: 'chat/cpu.weight', value: '150', before: '250', atMs: 42 },
    });
    await limiter.stop(deadline());
    expect(tree.read('chat', 'cpu.weight')).toBe('250');
    expect(tree.read('batch', 'cpu.max')).toBe('max 100000');
    expect(tree.read('batch', 'memory.high')).toBe('max');
    expect(memory.json).toBeUndefined();
    expect(limiter.counts).toEqual({ writes: 12, refused: 0, overruled: 0 });
    expect(notices.map(({ kind }) => kind)).toEqual([
      ...new Array<string>(6).fill('applied'),
      ...new Array<string>(6).fill('restored'),
    ]);
  });

  test('raises memory.high when use grows towards it', () => {
    const tree = new FakeTree('chat', 'batch');
    const { limiter } = limiterOn(tree, [grant('chat', 'memory', 256)]);
    limiter.apply();
    tree.set('chat', 'memory.current', String(250 * MIB));
    limiter.apply();
    expect(tree.read('chat', 'memory.high')).toBe(String(300 * MIB));
  });

  test('leaves alone what somebody else has written since', async () => {
    const tree = new FakeTree('chat', 'batch');
    const { limiter, notices } = limiterOn(tree, [grant('chat', 'cpu', 3), grant('batch', 'cpu', 1)]);
    limiter.apply();
    tree.set('chat', 'cpu.weight', '777\n');
    limiter.apply();
    limiter.apply();
    await limiter.stop(deadline());
    expect(tree.read('chat', 'cpu.weight')).toBe('777');
    expect(tree.read('batch', 'cpu.weight')).toBe('100');
    expect(notices.filter(({ kind }) => kind === 'overruled')).toEqual([
      { kind: 'overruled', component: 'chat', file: 'chat/cpu.weight', value: '777' },
    ]);
    expect(limiter.counts.overruled).toBe(1);
  });

  test('follows a cgroup that was made anew, and forgets one that is gone', async () => {
    const tree = new FakeTree('chat', 'batch');
    const { limiter, memory } = limiterOn(tree, [grant('chat', 'cpu', 3), grant('batch', 'cpu', 1)]);
    limiter.apply();
    tree.make('chat');
    limiter.apply();
    expect(tree.read('chat', 'cpu.weight')).toBe('150');
    rmSync(join(tree.root, 'chat'), { recursive: true });
    await limiter.stop(deadline());
    expect(memory.json).toBeUndefined();
  });

  describe('refuses', () => {
    const cases: readonly (readonly [string, (tree: FakeTree) => Given, RegExp])[] = [
      [
        'what is no cgroup2 file system',
        () => ({ fileSystemType: (path) => statfsSync(path).type }),
        /not in a cgroup2/,
      ],
      [
        'the top of the hierarchy',
        (tree) => {
          rmSync(join(tree.root, 'cgroup.type'));
          return {};
        },
        /is the top of the hierarchy/,
      ],
      ['the top of its own subtree', () => ({ folders: { chat: '.' } }), /is the top of the delegated subtree/],
      ['a path that climbs out', () => ({ folders: { chat: '../' } }), /outside the delegated subtree/],
      [
        'a link that leads out',
        (tree) => {
          symlinkSync(new FakeTree('elsewhere').root, join(tree.root, 'link'));
          return { folders: { chat: 'link/elsewhere' } };
        },
        /outside the delegated subtree/,
      ],
      ['a cgroup that is not there', () => ({ folders: { chat: 'nowhere' } }), /there is no such cgroup/],
      [
        'a controller that is not delegated',
        (tree) => {
          rmSync(join(tree.root, 'chat', 'cpu.max'));
          return {};
        },
        /its controller is not delegated/,
      ],
      [
        'its own cgroup, and one above it',
        (tree) => {
          tree.make('chat/agent');
          tree.set('chat/agent', 'cgroup.procs', '1\n4711\n');
          return { ownPid: 4_711 };
        },
        /holds the agent itself/,
      ],
    ];

    test.each(cases)('%s', async (_name, given, reason) => {
      const tree = new FakeTree('chat', 'batch');
      const { limiter, notices } = limiterOn(tree, [grant('chat', 'cpu', 3)], {
        rules: { ...ALL, cpuWeight: false, memoryHigh: false },
        ...given(tree),
      });
      limiter.apply();
      limiter.apply();
      await limiter.stop(deadline());
      expect(notices).toEqual([{ kind: 'refused', component: 'chat', reason: expect.stringMatching(reason) }]);
      expect(limiter.applied).toEqual([]);
      expect(limiter.counts.writes).toBe(0);
      expect(limiter.counts.refused).toBeGreaterThanOrEqual(2);
    });
  });

  test('survives a ledger that cannot be read, and says so', () => {
    const { limiter, notices } = limiterOn(new FakeTree(), [], { memory: { json: '[{' } });
    expect(limiter.applied).toEqual([]);
    expect(notices).toMatchObject([{ kind: 'refused', component: '*' }]);
  });

  it('dies at any moment and is put right by the next start, others’ values excepted', async () => {
    const step = fc.record({
      chat: fc.double({ min: 0.1, max: 8, noNaN: true }),
      batch: fc.double({ min: 0.1, max: 8, noNaN: true }),
      foreign: fc.constantFrom(undefined, undefined, undefined, 'chat', 'batch'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 5 }),
        fc.nat(24),
        fc.boolean(),
        async (steps, at, isDurable) => {
          const tree = new FakeTree('chat', 'batch');
          const memory = { json: undefined as string | undefined };
          let current: readonly Grant[] = [];
          let writes = 0;
          // The agent dies at one write of the ledger, before or after it was durable; nothing it does later happens.
          const ledger = {
            read: () => memory.json,
            write: (json: string | undefined) => {
              const isLast = ++writes === at;
              if (writes > at || (isLast && !isDurable)) throw new Error('dead');
              memory.json = json;
              if (isLast) throw new Error('dead');
            },
          };
          const { limiter } = limiterOn(tree, [], { ledger, grants: () => current });
          const foreign = new Set<string>();
          for (const { chat, batch, foreign: who } of steps) {
            current = [grant('chat', 'cpu', chat), grant('batch', 'cpu', batch), grant('chat', 'memory', chat * 100)];
            limiter.apply();
            if (who === undefined) continue;
            tree.set(who, 'cpu.weight', '7777\n');
            foreign.add(who);
          }
          const { limiter: next } = limiterOn(tree, [], { memory });
          await next.start();
          for (const component of ['chat', 'batch']) {
            expect(tree.read(component, 'cpu.weight')).toBe(foreign.has(component) ? '7777' : '100');
            expect(tree.read(component, 'cpu.max')).toBe('max 100000');
            expect(tree.read(component, 'memory.high')).toBe('max');
          }
          expect(memory.json).toBeUndefined();
          await next.stop(deadline());
          rmSync(tree.root, { recursive: true });
        },
      ),
      { numRuns: 60 },
    );
  });
});
