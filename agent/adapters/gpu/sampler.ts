import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { AttributeValue, ComponentProcess, SampleBatch, SampleSink } from '../../core/model.ts';
import { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { SeriesInterner } from '../../core/series/interner.ts';
import { Points } from '../../core/series/points.ts';
import { Sampling } from '../sampling.ts';
import { amdCards } from './amd_devices.ts';
import { type GpuNotice, SourceChoice } from './choice.ts';
import { emitDevice, emitShare, type Share } from './emit.ts';
import { ownersOf } from './owners.ts';
import { ReaderSource } from './reader_source.ts';
import type { GpuDevice, GpuSource } from './reading.ts';
import { SmiSource } from './smi_source.ts';

export interface GpuSamplerOptions {
  readonly intervalMs: number;
  readonly sink: SampleSink;
  /** Shared by all who feed the sink: series are compared by reference. */
  readonly interner: SeriesInterner;
  /** `auto`: NVML, nvidia-smi, AMD, in this order the first that tells something. */
  readonly source: 'auto' | 'nvml' | 'nvidia-smi' | 'amd' | 'none';
  /** The AI processes that are known now; asked at every sample. */
  readonly targets: () => readonly ComponentProcess[];
  /** Folder that holds `proc`, `sys` and `dev`. */
  readonly root?: string;
  readonly clock: {
    /** Unix time, for the points. */
    nowMs(): number;
    /** Never jumps, for waiting. */
    monotonicMs(): number;
  };
  readonly hostName?: string;
  /** NVIDIA's library; by default the one that the system's loader finds. */
  readonly nvmlLibrary?: string;
  /** By default the one in the path. */
  readonly smiCommand?: string;
  /** How long a driver may take before it counts as hung. */
  readonly timeouts?: { readonly openMs: number; readonly readMs: number };
  readonly onNotice?: (notice: GpuNotice) => void;
  /** Told of a sample that failed as a whole; the sampler goes on. */
  readonly onError?: (error: unknown) => void;
}

export interface GpuSamplerCounts {
  readonly samples: number;
  /** Points handed to the sink and taken. */
  readonly points: number;
  /** Points that the sink refused, or for which there was no series left. */
  readonly dropped: number;
  /** Readings that failed, and single values that could not be read. */
  readonly failures: number;
  /** Readings that a watchdog ended, among the failures. */
  readonly hangs: number;
  /** Samples skipped because the one before was still being taken. */
  readonly skipped: number;
}

export interface GpuSampler {
  start(): Promise<void>;
  stop(deadline: AbortSignal): Promise<void>;
  /** Takes one sample now. `start` does so every `intervalMs`. Never rejects. */
  sample(): Promise<void>;
  readonly counts: GpuSamplerCounts;
}

/** Without persistence mode the driver sets up each GPU at the first use, for seconds. */
const DEFAULT_TIMEOUTS = { openMs: 60_000, readMs: 10_000 };
/** Where the NVIDIA driver is loaded, one of these exists; the last in WSL. */
const NVIDIA_SIGNS = ['dev/nvidiactl', 'proc/driver/nvidia/version', 'dev/dxg'];

/** Samples GPUs: utilisation, memory, power, temperature, clocks, and what of them is whose. Without a GPU it does nothing. */
export function createGpuSampler(options: GpuSamplerOptions): GpuSampler {
  return new Sampler(options, new SourceChoice(sourcesOf(options), (notice) => options.onNotice?.(notice)));
}

function sourcesOf(options: GpuSamplerOptions): readonly GpuSource[] {
  const { source, intervalMs, clock } = options;
  const root = options.root ?? '/';
  const { openMs, readMs } = options.timeouts ?? DEFAULT_TIMEOUTS;
  const timeouts = { openTimeoutMs: openMs, readTimeoutMs: readMs };
  const isAuto = source === 'auto';
  // Whoever names a source gets it tried; otherwise no process is started for a driver that is not loaded.
  const isNvidiaLikely = () => !isAuto || hasNvidia(root);
  const library = options.nvmlLibrary ?? (process.platform === 'win32' ? 'nvml.dll' : 'libnvidia-ml.so.1');
  const all: readonly GpuSource[] = [
    new ReaderSource({ name: 'nvml', subject: { kind: 'nvml', library }, isLikely: isNvidiaLikely, ...timeouts }),
    new SmiSource({
      command: options.smiCommand ?? 'nvidia-smi',
      intervalMs,
      monotonicMs: () => clock.monotonicMs(),
      isLikely: isNvidiaLikely,
      silentMs: openMs,
    }),
    new ReaderSource({
      name: 'amd',
      subject: { kind: 'amd', root },
      isLikely: () => amdCards(root).length > 0,
      ...timeouts,
    }),
  ];
  return all.filter(({ name }) => isAuto || name === source);
}

function hasNvidia(root: string): boolean {
  return process.platform === 'win32' || NVIDIA_SIGNS.some((path) => existsSync(join(root, path)));
}

class Sampler implements GpuSampler {
  readonly #options: GpuSamplerOptions;
  readonly #choice: SourceChoice;
  readonly #hostResource: readonly [string, AttributeValue][];
  readonly #sampling: Sampling;
  /** Writers by component, '' being the machine; those not used by a sample are let go. */
  #writers = new Map<string, Points>();

  constructor(options: GpuSamplerOptions, choice: SourceChoice) {
    this.#options = options;
    this.#choice = choice;
    this.#hostResource = [['host.name', options.hostName ?? hostname()]];
    const { intervalMs, sink, clock, onError } = options;
    this.#sampling = new Sampling({
      ...{ intervalMs, sink, onError },
      read: async () => this.#batchOf(await choice.read(clock.monotonicMs())),
      close: () => choice.close(),
    });
  }

  get counts(): GpuSamplerCounts {
    return { ...this.#sampling.counts, ...this.#choice.counts };
  }

  async start(): Promise<void> {
    if (this.#options.source !== 'none') this.#sampling.start();
  }

  stop(deadline: AbortSignal): Promise<void> {
    return this.#sampling.stop(deadline);
  }

  sample(): Promise<void> {
    return this.#sampling.sample();
  }

  #batchOf(devices: readonly GpuDevice[]): SampleBatch | undefined {
    if (devices.length === 0) return undefined;
    const timeMs = this.#options.clock.nowMs();
    const batch = new SampleBatchBuilder(32 * devices.length);
    const writers = new Map<string, Points>();
    const out = (component: string) => {
      const points = writers.get(component) ?? this.#writers.get(component) ?? this.#writerOf(component);
      writers.set(component, points);
      return { points, batch, timeMs };
    };

    for (const device of devices) emitDevice(out(''), device);
    const pids = devices.flatMap(({ processes }) => (processes ?? []).map(({ pid }) => pid));
    const owners = ownersOf(this.#options.root ?? '/', pids, this.#options.targets());
    for (const device of devices) {
      for (const [component, share] of sharesOf(device, owners)) emitShare(out(component), share);
    }
    this.#writers = writers;
    return batch.build();
  }

  #writerOf(component: string): Points {
    const owner: readonly [string, AttributeValue][] = component === '' ? [] : [['service.name', component]];
    return new Points(this.#options.interner, new Map([...owner, ...this.#hostResource]), this.#sampling.pointCounts);
  }
}

function sharesOf(device: GpuDevice, owners: ReadonlyMap<number, string>): ReadonlyMap<string, Share> {
  const shares = new Map<string, Share>();
  for (const { pid, memoryBytes } of device.processes ?? []) {
    const component = owners.get(pid);
    if (component === undefined) continue;
    const before = shares.get(component);
    const sum = before === undefined ? memoryBytes : plus(before.memoryBytes, memoryBytes);
    shares.set(component, { device, ...(sum !== undefined && { memoryBytes: sum }) });
  }
  return shares;
}

/** A sum with something unknown in it is unknown. */
function plus(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}
