import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { GpuNotice } from '../../../agent/adapters/gpu/choice.ts';
import { createGpuSampler, type GpuSampler, type GpuSamplerOptions } from '../../../agent/adapters/gpu/sampler.ts';
import type { Acceptance, ComponentProcess, SampleBatch } from '../../../agent/core/model.ts';
import { SeriesInterner } from '../../../agent/core/series/interner.ts';

/** Why the stub library cannot be built here; undefined when it can. */
export const noCompiler: string | undefined = (() => {
  if (process.platform !== 'linux') return 'the stub of libnvidia-ml.so.1 is built on Linux only';
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'there is no C compiler to build the stub of libnvidia-ml.so.1 with';
  }
})();

/** A folder that stands for the machine's root: the files in it, a stub library, a stand-in for nvidia-smi. */
export class GpuMachine {
  readonly root = mkdtempSync(join(tmpdir(), 'perfopt-gpu-'));

  constructor(files: Readonly<Record<string, string>> = {}) {
    for (const [path, content] of Object.entries(files)) this.write(path, content);
  }

  path(path: string): string {
    return join(this.root, path);
  }

  write(path: string, content = ''): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), content);
  }

  remove(path: string): void {
    rmSync(this.path(path), { recursive: true });
  }

  /** Builds the stub library; files below `nvml` change what it does. */
  buildLibrary(processList: 1 | 2 | 3 = 3): string {
    mkdirSync(this.path('nvml'), { recursive: true });
    const library = this.path('nvml/libnvidia-ml.so.1');
    const defines = [`-DSTATE="${this.path('nvml')}"`, `-DPROCESS_LIST=${processList}`];
    const source = join(import.meta.dirname, 'nvml_stub.c');
    execFileSync('cc', ['-Wall', '-Werror', '-shared', '-fPIC', ...defines, '-o', library, source]);
    return library;
  }

  /** Puts the stand-in and its pipe in place. */
  installSmi(): string {
    mkdirSync(this.path('smi'), { recursive: true });
    copyFileSync(join(import.meta.dirname, 'nvidia-smi.sh'), this.path('smi/nvidia-smi'));
    execFileSync('mkfifo', [this.path('smi/lines')]);
    return this.path('smi/nvidia-smi');
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

/** A sampler in virtual time, and what it told. Real processes, which are waited for. */
export class GpuBench {
  readonly batches: SampleBatch[] = [];
  readonly notices: GpuNotice[] = [];
  readonly sampler: GpuSampler;
  answer: Acceptance = { state: 'accepted', rejected: 0 };
  targets: ComponentProcess[] = [];
  nowMs = 1_700_000_000_000;

  constructor(machine: GpuMachine, options: Partial<GpuSamplerOptions> = {}) {
    this.sampler = createGpuSampler({
      intervalMs: 1_000,
      source: 'auto',
      root: machine.root,
      interner: new SeriesInterner({ maxSeries: 1_000 }),
      targets: () => this.targets,
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
      hostName: 'box',
      sink: {
        accept: (batch) => {
          this.batches.push(batch);
          return this.answer;
        },
      },
      onNotice: (notice) => this.notices.push(notice),
      // Nothing of this machine's own is found by accident.
      nvmlLibrary: machine.path('none/libnvidia-ml.so.1'),
      smiCommand: machine.path('none/nvidia-smi'),
      ...options,
    });
  }

  /** Points of the sample taken now, of a component or of the machine: `hw.id name further attributes` → value. */
  async sample(afterMs = 0): Promise<(component?: string) => Record<string, number>> {
    this.nowMs += afterMs;
    const before = this.batches.length;
    await this.sampler.sample();
    const batch = this.batches[before];
    return (component) => {
      const points: Record<string, number> = {};
      for (const [row, series] of (batch?.series ?? []).entries()) {
        if (series.resource.get('service.name') !== component) continue;
        const further = [...series.attributes].filter(([key]) => !/^hw\.(?:id|type|vendor|name|parent)$/.test(key));
        const key = [series.attributes.get('hw.id'), series.name, ...further.map(([, value]) => value)].join(' ');
        points[key] = batch!.value[row]!;
      }
      return points;
    };
  }
}

/** `/proc/PID/status` as far as it is read; without memory it is a thread of the kernel. */
export function status(parent: number, namespacePids: readonly number[], isUserProcess = true): string {
  return [
    'Name:\tpython',
    `PPid:\t${parent}`,
    `NSpid:\t${namespacePids.join('\t')}`,
    ...(isUserProcess ? ['VmSize:\t  123456 kB'] : []),
    'Threads:\t1',
    '',
  ].join('\n');
}
