import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { createEngine } from '../../agent/core/engine.ts';
import type { SampleBatch } from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { Points } from '../../agent/core/series/points.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { GpuBench, GpuMachine, noCompiler } from '../unit/fixtures_gpu/rig.ts';

const GIB = 2 ** 30;

/** Real processes and the real engine; the driver's library is the stub, whose list names the child. */
it.skipIf(noCompiler !== undefined)(
  `a component's profile shows the GPU that it is on, another's the machine's ${noCompiler ?? ''}`,
  async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
    using machine = new GpuMachine();
    machine.write('nvml/processes', `GPU-0 ${child.pid} ${12 * GIB}\n`);
    const engine = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
    const interner = new SeriesInterner({ maxSeries: 1_000 });
    const bench = new GpuBench(machine, {
      interner,
      root: '/',
      source: 'nvml',
      nvmlLibrary: machine.buildLibrary(),
      timeouts: { openMs: 20_000, readMs: 20_000 },
      sink: {
        accept: (batch: SampleBatch) => {
          engine.step(bench.nowMs, { kind: 'samples', batch });
          return { state: 'accepted', rejected: 0 };
        },
      },
    });
    // The component that computes is the parent of the process that is on the GPU: this one.
    bench.targets = [
      { component: 'chat', pid: process.pid },
      { component: 'elsewhere', pid: 2 ** 30 },
    ];
    try {
      for (let i = 0; i < 3; i++) await bench.sample(1_000);
      const batch = new SampleBatchBuilder();
      const resource = new Map([['service.name', 'elsewhere']]);
      new Points(interner, resource, { refused: 0 }).put(
        batch,
        bench.nowMs,
        ['process.memory.usage', 'By', 'gauge'],
        GIB,
      );
      engine.step(bench.nowMs, { kind: 'samples', batch: batch.build() });
      engine.step(bench.nowMs, { kind: 'tick' });
      const { gpu, gpuMemory } = engine.view('chat')!.profile!.resources;
      expect(gpu).toMatchObject({ usage: 75, average: 75, utilizationRatio: 0.75 });
      expect(gpuMemory).toMatchObject({ usage: 12 * 1_024, utilizationRatio: 12 / 80 });
      expect(engine.stats().series).toMatchObject({ invalid: 0, outOfOrder: 0, duplicates: 0 });
      expect(bench.sampler.counts).toMatchObject({ samples: 3, dropped: 0, failures: 0 });
      // One that is on no GPU, as far as is known, is shown the machine's: the only one that tells its load, 20 + 4 GiB.
      const { resources } = engine.view('elsewhere')!.profile!;
      expect(resources.gpu).toMatchObject({ usage: 75, scope: 'host' });
      expect(resources.gpuMemory).toMatchObject({ usage: 24 * 1_024, utilizationRatio: 24 / 96 });
    } finally {
      await bench.sampler.stop(AbortSignal.timeout(20_000));
      child.kill('SIGKILL');
    }
  },
);
