import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { AttributeValue, ComponentProcess, SampleBatch, SampleSink } from '../../core/model.ts';
import { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { SeriesInterner } from '../../core/series/interner.ts';
import { Points } from '../../core/series/points.ts';
import { Sampling } from '../sampling.ts';
import type { AskFilesystem } from './disks.ts';
import { change, emitContainer, emitHost, emitProcess } from './emit.ts';
import { ProcSource } from './proc_source.ts';
import type { ContainerReading, ProcessReading, Reading, ReadingSource } from './reading.ts';
import { SystemInformationSource } from './systeminformation_source.ts';

export interface HostSamplerOptions {
  readonly intervalMs: number;
  readonly sink: SampleSink;
  /** Shared by all who feed the sink: series are compared by reference. */
  readonly interner: SeriesInterner;
  /** The AI processes that are known now; asked at every sample. */
  readonly targets: () => readonly ComponentProcess[];
  /** Folder that holds `proc` and `sys`; `/host` where a container has the machine's mounted there. */
  readonly root?: string;
  readonly clock: {
    /** Unix time, for the points. */
    nowMs(): number;
    /** Never jumps, for rates. */
    monotonicMs(): number;
  };
  readonly hostName?: string;
  /** How full a file system is: `statfs`, unless something else is given. */
  readonly askFilesystem?: AskFilesystem;
  /** Told of a sample that failed as a whole; the sampler goes on. */
  readonly onError?: (error: unknown) => void;
}

export interface HostSamplerCounts {
  readonly samples: number;
  /** Points handed to the sink and taken. */
  readonly points: number;
  /** Points that the sink refused, or for which there was no series left. */
  readonly dropped: number;
  /** Files or commands that were there and could not be read or understood. */
  readonly failures: number;
  /** Samples skipped because the one before was still being taken. */
  readonly skipped: number;
}

export interface HostSampler {
  start(): Promise<void>;
  stop(deadline: AbortSignal): Promise<void>;
  /** Takes one sample now. `start` does so every `intervalMs`. Never rejects. */
  sample(): Promise<void>;
  readonly counts: HostSamplerCounts;
}

/**
 * Samples CPU, memory, disks and pressure of the machine, CPU, memory and pressure of the containers and of the AI processes, from `/proc` and cgroups
 * where the platform has them, and otherwise through `systeminformation`.
 */
export function createHostSampler(options: HostSamplerOptions): HostSampler {
  const root = options.root ?? '/';
  const monotonicMs = () => options.clock.monotonicMs();
  const source = existsSync(join(root, 'proc/stat'))
    ? new ProcSource(root, monotonicMs, options.askFilesystem)
    : new SystemInformationSource(monotonicMs);
  return new Sampler(options, source);
}

class Sampler implements HostSampler {
  readonly #options: HostSamplerOptions;
  readonly #source: ReadingSource;
  readonly #hostResource: readonly [string, AttributeValue][];
  readonly #sampling: Sampling;
  /** Writers by resource; those not used by a sample are let go, with the processes and containers they stood for. */
  #writers = new Map<string, Points>();
  #before: Reading | undefined;

  constructor(options: HostSamplerOptions, source: ReadingSource) {
    this.#options = options;
    this.#source = source;
    this.#hostResource = [['host.name', options.hostName ?? hostname()]];
    const { intervalMs, sink, targets, onError } = options;
    this.#sampling = new Sampling({
      ...{ intervalMs, sink, onError },
      read: async () => this.#batchOf(await source.read(targets())),
      close: () => source.close(),
    });
  }

  get counts(): HostSamplerCounts {
    return { ...this.#sampling.counts, failures: this.#source.failures };
  }

  async start(): Promise<void> {
    this.#sampling.start();
  }

  stop(deadline: AbortSignal): Promise<void> {
    return this.#sampling.stop(deadline);
  }

  sample(): Promise<void> {
    return this.#sampling.sample();
  }

  #batchOf(reading: Reading): SampleBatch {
    const before = this.#before;
    this.#before = reading;
    const seconds = before === undefined ? 0 : (reading.monotonicMs - before.monotonicMs) / 1_000;
    const timeMs = this.#options.clock.nowMs();
    const batch = new SampleBatchBuilder(128);
    const writers = new Map<string, Points>();
    const out = (attributes: readonly [string, AttributeValue][]) => {
      const key = JSON.stringify(attributes);
      const points =
        this.#writers.get(key) ?? new Points(this.#options.interner, new Map(attributes), this.#sampling.pointCounts);
      writers.set(key, points);
      return { points, batch, timeMs };
    };

    emitHost(out(this.#hostResource), change(reading.host, before?.host, seconds));
    for (const container of reading.containers) {
      const moved = change(container, before?.containers.find(isSameContainer(container)), seconds);
      for (const owner of this.#owners(container)) emitContainer(out(owner), moved);
    }
    for (const process of reading.processes) {
      const moved = change(process, before?.processes.find(isSameProcess(process)), seconds);
      const { component, pid } = process;
      emitProcess(out([['service.name', component], ['process.pid', pid], ...this.#hostResource]), moved);
    }
    this.#writers = writers;
    return batch.build();
  }

  /** A container's points belong to each component in it; one that is only the agent's own belongs to the host. */
  #owners({ components, containerId }: ContainerReading): readonly [string, AttributeValue][][] {
    const id: [string, AttributeValue][] = containerId === undefined ? [] : [['container.id', containerId]];
    if (components.length === 0) return [[...id, ...this.#hostResource]];
    return components.map((component) => [['service.name', component], ...id, ...this.#hostResource]);
  }
}

function isSameContainer(container: ContainerReading): (other: ContainerReading) => boolean {
  return (other) => other.key === container.key;
}

function isSameProcess({ pid, startTicks }: ProcessReading): (other: ProcessReading) => boolean {
  return (other) => other.pid === pid && other.startTicks === startTicks;
}
