import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { readInventory } from '../../agent/adapters/host/inventory.ts';
import { createHostSampler, type HostSampler } from '../../agent/adapters/host/sampler.ts';
import { SystemInformationSource } from '../../agent/adapters/host/systeminformation_source.ts';
import type { SampleBatch, Series } from '../../agent/core/model.ts';
import { ComponentProfile } from '../../agent/core/profile.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { SeriesStore } from '../../agent/core/series/store.ts';
import { DEFAULT_MAPPINGS, SignalMapper } from '../../agent/core/signals.ts';

const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const children: ChildProcess[] = [];
let sampler: HostSampler | undefined;

afterEach(async () => {
  await sampler?.stop(AbortSignal.timeout(5_000));
  sampler = undefined;
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function nodeChild(code: string): ChildProcess {
  const child = spawn(process.execPath, ['-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

/** The next line that a child says. */
function line(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout!.once('data', (data: Buffer) => resolve(data.toString()));
    child.once('exit', () => reject(new Error('the child ended')));
  });
}

describe.skipIf(!existsSync('/proc/stat'))('this machine', () => {
  it('shows the CPU that a process burns, up to its profile', async () => {
    // Burns on demand until its own accounting shows another 300 ms, and says so: no matter how slow the machine is.
    const child = nodeChild(`
      process.stdin.on('data', () => {
        const begin = process.cpuUsage().user;
        while (process.cpuUsage().user - begin < 300_000);
        console.log('burnt');
      });
      console.log('ready');
    `);
    await line(child);

    const store = new SeriesStore({ maxSeries: 1_000 });
    const mapper = new SignalMapper(DEFAULT_MAPPINGS);
    const profile = new ComponentProfile('burner', { intervalMs: 1_000, windowSize: 100 });
    const batches: SampleBatch[] = [];
    sampler = createHostSampler({
      intervalMs: 1_000,
      interner: new SeriesInterner({ maxSeries: 1_000 }),
      targets: () => [{ component: 'burner', pid: child.pid! }],
      clock,
      sink: {
        accept: (batch) => {
          batches.push(batch);
          for (let row = 0; row < batch.size; row++) {
            const role = mapper.roleOf(batch.series[row]!);
            const increment = store.normalise(batch, row);
            if (role === undefined || increment === undefined) continue;
            if (mapper.componentOf(batch.series[row]!) === 'burner') profile.observe(role, increment, clock.nowMs());
          }
          return { state: 'accepted', rejected: 0 };
        },
      },
    });
    await sampler.sample();
    const burnt = line(child);
    child.stdin!.write('go');
    await burnt;
    await sampler.sample();

    const [before, after] = batches.map((batch) => cpuSeconds(batch));
    // 300 ms by the child's own clock; the kernel shows it in ticks of 10 ms.
    expect(after! - before!).toBeGreaterThanOrEqual(0.28);
    const { cpu, memory } = profile.snapshot(clock.nowMs()).resources;
    expect(cpu!.scope).toBe('process');
    expect(cpu!.usage).toBeGreaterThan(0);
    expect(cpu!.usage).toBeLessThanOrEqual(100);
    // A Node process has some tens of MiB resident, and cannot have more than the machine.
    expect(memory!.usage).toBeGreaterThan(10);
    expect(memory!.usage).toBeLessThan(totalmem() / 2 ** 20);
    expect(sampler.counts.failures).toBe(0);
  });

  it('agrees with Node on what the machine is', async () => {
    const batches: SampleBatch[] = [];
    sampler = createHostSampler({
      intervalMs: 1_000,
      interner: new SeriesInterner({ maxSeries: 1_000 }),
      targets: () => [],
      clock,
      sink: {
        accept: (batch) => {
          batches.push(batch);
          return { state: 'accepted', rejected: 0 };
        },
      },
    });
    await sampler.sample();
    const value = (name: string) => find(batches[0]!, (series) => series.name === name)[0];
    expect(value('system.memory.limit')).toBe(totalmem());
    expect(value('system.cpu.logical.count')).toBeGreaterThanOrEqual(availableParallelism());
  });

  it('samples by itself once started, and not after stop', async () => {
    let batches = 0;
    const { promise: two, resolve } = Promise.withResolvers<void>();
    sampler = createHostSampler({
      intervalMs: 1,
      interner: new SeriesInterner({ maxSeries: 1_000 }),
      targets: () => [],
      clock,
      sink: {
        accept: () => {
          batches += 1;
          if (batches === 2) resolve();
          return { state: 'accepted', rejected: 0 };
        },
      },
    });
    await sampler.start();
    // Timers of the sampler do not keep a process alive; in the agent its sockets do.
    const alive = setInterval(() => {}, 1_000);
    await two;
    clearInterval(alive);
    await sampler.stop(AbortSignal.timeout(1_000));
    const atStop = batches;
    await sampler.sample();
    expect(batches).toBe(atStop);
  });
});

describe('systeminformation', () => {
  it('tells what the machine is made of, in another thread', async () => {
    const inventory = await readInventory({ timeoutMs: 30_000 });
    expect(inventory.cpu!.logicalCores).toBeGreaterThanOrEqual(1);
    expect(inventory.memoryBytes).toBe(totalmem());
    expect(inventory.os!.platform).toBe(process.platform);
  });

  it('that does not answer in time leaves an empty inventory with the reason', async () => {
    const inventory = await readInventory({ timeoutMs: 0 });
    expect(inventory).toMatchObject({
      gpus: [],
      problems: ['systeminformation did not answer "inventory" within 0 ms'],
    });
    expect(inventory.cpu).toBeUndefined();
  });

  it('reads machine and process where there is no /proc', async () => {
    const source = new SystemInformationSource(clock.monotonicMs);
    try {
      const reading = await source.read([
        { component: 'me', pid: process.pid },
        { component: 'nobody', pid: 2 ** 30 },
      ]);
      expect(reading.host.memory!.total).toBe(totalmem());
      expect(reading.host.cpuTimes!.user).toBeGreaterThan(0);
      expect(reading.processes.map((each) => each.component)).toEqual(['me']);
      expect(reading.processes[0]!.residentBytes).toBeGreaterThan(10 * 2 ** 20);
      expect(source.failures).toBe(0);
    } finally {
      await source.close();
    }
  });
});

function find(batch: SampleBatch, wanted: (series: Series) => boolean): number[] {
  return batch.series.flatMap((series, row) => (wanted(series) ? [batch.value[row]!] : []));
}

function cpuSeconds(batch: SampleBatch): number {
  return find(batch, (series) => series.name === 'process.cpu.time').reduce((total, seconds) => total + seconds, 0);
}
