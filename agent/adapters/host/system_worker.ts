/**
 * Asks `systeminformation`, in a thread of its own: it starts commands and waits for some of them without letting anyone
 * else run (graphics 104 ms, processes 435 ms measured), and that must not stall receiving and control.
 */
import { parentPort } from 'node:worker_threads';
import si from 'systeminformation';

/** What a part of the inventory gave, or why it gave nothing. */
export type Part<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

export interface InventoryAnswer {
  readonly cpu: Part<{ brand: string; manufacturer: string; cores: number; physicalCores: number; speedGHz: number }>;
  readonly memory: Part<{ totalBytes: number }>;
  readonly gpus: Part<readonly { vendor: string; model: string; vramMebibytes: number | null }[]>;
  readonly os: Part<{ platform: string; distribution: string; release: string; kernel: string; architecture: string }>;
}

export interface SampleAnswer {
  readonly memory: { total: number; free: number; buffers: number; cached: number; available: number };
  /** `cpuPercent` as the platform tells it. */
  readonly processes: readonly { pid: number; started: string; cpuPercent: number; residentBytes: number }[];
}

export type Question = { readonly ask: 'inventory' } | { readonly ask: 'sample'; readonly pids: readonly number[] };

const port = parentPort;
if (port === null) throw new Error('system_worker.ts runs as a worker thread only');
port.on('message', async (question: Question) => {
  try {
    port.postMessage({
      ok: true,
      value: question.ask === 'inventory' ? await inventory() : await sample(question.pids),
    });
  } catch (error) {
    port.postMessage({ ok: false, error: error instanceof Error ? error.message : String(error) });
  }
});

async function inventory(): Promise<InventoryAnswer> {
  const [cpu, memory, gpus, os] = await Promise.all([
    part(async () => {
      const { brand, manufacturer, cores, physicalCores, speed } = await si.cpu();
      return { brand, manufacturer, cores, physicalCores, speedGHz: speed };
    }),
    part(async () => ({ totalBytes: (await si.mem()).total })),
    part(async () => {
      const { controllers } = await si.graphics();
      return controllers.map(({ vendor, model, vram }) => ({ vendor, model, vramMebibytes: vram }));
    }),
    part(async () => {
      const { platform, distro, release, kernel, arch } = await si.osInfo();
      return { platform, distribution: distro, release, kernel, architecture: arch };
    }),
  ]);
  return { cpu, memory, gpus, os };
}

async function part<T>(read: () => Promise<T>): Promise<Part<T>> {
  try {
    return { ok: true, value: await read() };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

async function sample(pids: readonly number[]): Promise<SampleAnswer> {
  const { total, free, buffers, cached, available } = await si.mem();
  // Listing processes is the dearest question of all: asked only when there is a process to look for.
  const { list } = pids.length === 0 ? { list: [] } : await si.processes();
  const processes = list
    .filter((process) => pids.includes(process.pid))
    .map(({ pid, started, cpu, memRss }) => ({ pid, started, cpuPercent: cpu, residentBytes: memRss * 1_024 }));
  return { memory: { total, free, buffers, cached, available }, processes };
}
