import { ComponentHistory } from './history/component_history.ts';
import type { Rollup } from './history/rollup.ts';
import { type HistorySignal, WATCHED_AS } from './history/signal.ts';
import { type LatencyMetrics, LatencyWindow } from './profile/latency_window.ts';
import { LevelWindow } from './profile/level_window.ts';
import type { PerformanceProfile } from './profile/performance_profile.ts';
import { BYTES_PER_MIB, type Limits, type ResourceUsage, ResourceWindow } from './profile/resource_window.ts';
import { TotalsWindow } from './profile/totals_window.ts';
import { TrafficWindow } from './profile/traffic_window.ts';
import {
  type SignalReading,
  type SignalSource,
  valued,
  WATCHED,
  type WatchedSignal,
} from './profile/watched_signal.ts';
import { Distribution } from './series/distribution.ts';
import type { GaugeIncrement, HistogramIncrement, Increment } from './series/store.ts';
import {
  DISK_SIGNALS,
  LATENCY_SIGNALS,
  type LatencyRole,
  type LatencySignal,
  LEVEL_SIGNALS,
  type LevelSignal,
  Precedence,
  RESOURCES,
  type RequestsRole,
  type Resource,
  requestsRank,
  type SignalRole,
} from './signals.ts';

export interface ProfileWindow {
  readonly intervalMs: number;
  /** Number of intervals kept. */
  readonly windowSize: number;
}

export interface ProfileDrops {
  /** Increments older than the window, or reaching so far back that they speak of another time. */
  readonly old: number;
  /** Points of levels with more parts than are kept. */
  readonly parts: number;
}

/**
 * An exporter may be slower than the window is long. What reaches further back than the longer of the two is not a slow
 * exporter's interval but the life of a process that was running before the agent came.
 */
const SLOWEST_EXPORT_MS = 120_000;

/** What history keeps of a signal whose sources are weighed under another name. */
const KEPT_OF: Readonly<Record<string, readonly HistorySignal[]>> = {
  requests: ['throughput', 'errors'],
  'tokens input': ['inputTokens'],
  'tokens output': ['outputTokens'],
  ...Object.fromEntries([...LATENCY_SIGNALS, ...LEVEL_SIGNALS].map((signal) => [signal, [signal]])),
};

/** What servers that have only counters divide by requests; the time of an output token they divide by tokens. */
const TIMED_BY_REQUESTS = ['responseTime', 'timeToFirstToken', 'queueTime'] as const;

/** Name under which the machine's own series are kept: no component can have it. */
const HOST = '';

/** One component's measurements over the last intervals. */
export class ComponentProfile {
  readonly component: string;
  readonly #size: readonly [intervalMs: number, windowSize: number];
  readonly #windowMs: number;
  readonly #traffic: TrafficWindow;
  readonly #tokens: { readonly input: TrafficWindow; readonly output: TrafficWindow };
  readonly #latencies = new Map<LatencySignal, LatencyWindow>();
  /** By rank: counters of time and counters of what it was spent on, which belong together. */
  readonly #totals = new Map<number, TotalsWindow>();
  readonly #levels = new Map<LevelSignal, LevelWindow>();
  readonly #resources = new Map<Resource, ResourceWindow>();
  readonly #precedence = new Map<string, Precedence>();
  readonly #history: ComponentHistory | undefined;
  #sampledInterval = Number.NaN;
  /** When the latest sample of each level was measured. */
  readonly #sampledMs = new Map<HistorySignal, number>();
  #lastOptimizedMs = 0;
  #optimizations = 0;
  #lastImprovement: number | undefined;
  #old = 0;

  constructor(component: string, window: ProfileWindow) {
    this.component = component;
    this.#size = [window.intervalMs, window.windowSize];
    this.#windowMs = window.intervalMs * window.windowSize;
    this.#traffic = new TrafficWindow(...this.#size);
    this.#tokens = { input: new TrafficWindow(...this.#size), output: new TrafficWindow(...this.#size) };
    // The machine's use is in its components' history, as far as it is theirs.
    this.#history = component === HOST ? undefined : new ComponentHistory(component);
  }

  observe(role: SignalRole, increment: Increment, nowMs: number): void {
    if (increment.endMs - increment.startMs > Math.max(this.#windowMs, SLOWEST_EXPORT_MS)) this.#old += 1;
    else if (!this.#add(role, increment, nowMs)) this.#old += 1;
  }

  /** Response times of successful requests in the window, in milliseconds. Valid until the next call. */
  responseTimes(nowMs: number): Distribution {
    return this.#latencies.get('responseTime')?.distribution(nowMs) ?? new Distribution();
  }

  /** The profile's average throughput, without the rest of it. */
  okPerSecond(nowMs: number): number | undefined {
    return this.#traffic.okPerSecond(nowMs);
  }

  /** Once an interval, for history: where the levels stand that have spoken since. `host`: see `snapshot`. */
  sampleLevels(nowMs: number, host: ComponentProfile): void {
    const interval = Math.floor(nowMs / this.#size[0]);
    if (interval === this.#sampledInterval) return;
    this.#sampledInterval = interval;
    for (const signal of LEVEL_SIGNALS) {
      const level = this.#levels.get(signal)?.metrics(nowMs);
      this.#sample(signal, level?.current, level?.measuredAtMs, nowMs);
    }
    for (const resource of RESOURCES) {
      const isOwn = this.#resources.has(resource) || resource === 'cpu' || resource === 'memory';
      // As in `snapshot`: the machine's GPUs stand for those of a component that none is reported for.
      const of = isOwn ? this : host;
      const usage = of.usage(resource, nowMs, host)?.usage;
      this.#sample(resource, usage, of.#resources.get(resource)?.measuredAtMs(nowMs), nowMs);
    }
  }

  /** A signal's latest intervals, one value each; those without telemetry are left out. `host`: see `snapshot`. */
  intervals(signal: HistorySignal, nowMs: number, host: ComponentProfile): readonly Rollup[] {
    if (signal === 'errors') return [];
    const { component } = this;
    const [stepMs, size] = this.#size;
    const newest = Math.floor(nowMs / stepMs);
    return Array.from({ length: size }, (_, i) => newest - size + 1 + i).flatMap((number) => {
      const value = this.reading(WATCHED_AS[signal], number, number, nowMs, host)?.value;
      if (value === undefined) return [];
      return [{ component, signal, startMs: number * stepMs, stepMs, count: 1, sum: value, min: value, max: value }];
    });
  }

  /** Minutes of history that changed since this was last called, whole. */
  takeHistory(nowMs: number): readonly Rollup[] {
    return this.#history?.take(nowMs) ?? [];
  }

  /** Points that came too late for history. */
  get lateForHistory(): number {
    return this.#history?.late ?? 0;
  }

  /** A change was kept. `improvement`: measured relative gain, positive is better. */
  optimized(atMs: number, improvement?: number): void {
    this.#lastOptimizedMs = atMs;
    this.#optimizations += 1;
    this.#lastImprovement = improvement;
  }

  /** What is set aside for the component: percent of a CPU or GPU, or MiB; undefined: not known. */
  reserve(resource: Resource, amount: number | undefined): void {
    this.#resource(resource).reserve(amount);
  }

  get dropped(): ProfileDrops {
    let parts = 0;
    for (const levels of this.#levels.values()) parts += levels.droppedParts;
    for (const resource of this.#resources.values()) parts += resource.droppedParts;
    return { old: this.#old, parts };
  }

  limits(resource: Resource, nowMs: number): Limits {
    return this.#resources.get(resource)?.limits(nowMs) ?? {};
  }

  /** `host`: profile of the machine, for its limits and its GPUs. */
  snapshot(nowMs: number, host?: ComponentProfile): PerformanceProfile {
    const { throughput, reliability, measuredAtMs } = this.#traffic.metrics(nowMs);
    const latency = (signal: LatencySignal) =>
      this.#latencies.get(signal)?.metrics(nowMs) ?? this.#meanFromTotals(signal, nowMs);
    const level = (signal: LevelSignal) => this.#levels.get(signal)?.metrics(nowMs);
    return {
      component: this.component,
      atMs: nowMs,
      windowMs: this.#windowMs,
      ...present({ measuredAtMs }),
      metrics: present({
        responseTime: latency('responseTime'),
        throughput,
        reliability,
        errorRate: reliability === undefined ? undefined : 1 - reliability.average,
        timeToFirstToken: latency('timeToFirstToken'),
        timePerOutputToken: latency('timePerOutputToken'),
        queueTime: latency('queueTime'),
        queueDepth: this.#queueDepth(nowMs),
        inFlight: level('inFlight'),
        cacheUsage: level('cacheUsage'),
        inputTokens: this.#tokens.input.metrics(nowMs).throughput,
        outputTokens: this.#tokens.output.metrics(nowMs).throughput,
      }),
      resources: present({
        cpu: this.usage('cpu', nowMs, host),
        memory: this.usage('memory', nowMs, host),
        // A sidecar's machine is its AI process's: where no GPU is reported for the component, the machine's stand for it.
        gpu: this.usage('gpu', nowMs, host) ?? host?.usage('gpu', nowMs),
        gpuMemory: this.usage('gpuMemory', nowMs, host) ?? host?.usage('gpuMemory', nowMs),
      }),
      stalls: present({
        cpuPressure: level('cpuPressure'),
        memoryPressure: level('memoryPressure'),
        ioPressure: level('ioPressure'),
        cpuThrottled: level('cpuThrottled'),
      }),
      disks: present({
        diskUsed: level('diskUsed'),
        inodesUsed: level('inodesUsed'),
        diskBusy: level('diskBusy'),
        diskWait: level('diskWait'),
      }),
      optimization: {
        lastOptimized: this.#lastOptimizedMs,
        optimizations: this.#optimizations,
        ...present({ lastImprovement: this.#lastImprovement }),
      },
    };
  }

  /** `host`: see `snapshot`. */
  usage(resource: Resource, nowMs: number, host?: ComponentProfile): ResourceUsage | undefined {
    const metrics = this.#resources.get(resource)?.metrics(nowMs, host?.limits(resource, nowMs) ?? {});
    const own = this.limits(resource, nowMs);
    const limit = own.container ?? own.host ?? host?.limits(resource, nowMs).host;
    if (metrics === undefined || limit === undefined) return metrics;
    return { ...metrics, capacity: resource === 'cpu' ? limit : limit / BYTES_PER_MIB };
  }

  #sample(signal: HistorySignal, value: number | undefined, atMs: number | undefined, nowMs: number): void {
    if (value === undefined || atMs === undefined || atMs === this.#sampledMs.get(signal)) return;
    this.#sampledMs.set(signal, atMs);
    this.#history?.level(signal, value, atMs, nowMs);
  }

  /**
   * What a signal measured over the intervals numbered `first` to `last`, and its limit where it has one. Cheap: looks at
   * those intervals only. `host`: see `snapshot`.
   */
  reading(
    signal: WatchedSignal,
    first: number,
    last: number,
    nowMs: number,
    host?: ComponentProfile,
  ): SignalReading | undefined {
    const source: SignalSource = WATCHED[signal];
    switch (source.of) {
      case 'latency':
        if (source.figure === 'meanMs') return valued(this.#meanOver(source.signal, first, last));
        return valued(this.#latencies.get(source.signal)?.over(first, last).p95Ms);
      case 'traffic':
        return valued(this.#traffic.over(first, last)[source.figure]);
      case 'tokens':
        return valued(this.#tokens[source.direction].over(first, last).okPerSecond);
      case 'level':
        return valued(this.#levels.get(source.signal)?.over(first, last), source.limit);
      case 'resource': {
        const { resource } = source;
        return this.#resources.get(resource)?.over(first, last, nowMs, host?.limits(resource, nowMs) ?? {});
      }
    }
  }

  /** How often the slowest of a signal's senders reports; undefined while nothing of it was heard. */
  reportMs(signal: WatchedSignal): number | undefined {
    const source: SignalSource = WATCHED[signal];
    switch (source.of) {
      case 'latency': {
        const slowest = [...this.#totals.values()].reduce((most, totals) => Math.max(most, totals.reportMs), 0);
        return this.#latencies.get(source.signal)?.reportMs ?? (this.#totals.size > 0 ? slowest : undefined);
      }
      case 'traffic':
        return this.#traffic.reportMs;
      case 'tokens':
        return this.#tokens[source.direction].reportMs;
      case 'level':
        return this.#levels.get(source.signal)?.reportMs;
      case 'resource':
        return this.#resources.get(source.resource)?.reportMs;
    }
  }

  #meanOver(signal: LatencySignal, first: number, last: number): number | undefined {
    const window = this.#latencies.get(signal);
    if (window !== undefined) return window.over(first, last).meanMs;
    for (const rank of [...this.#totals.keys()].sort((a, b) => a - b)) {
      const mean = this.#totals.get(rank)?.over(signal, first, last);
      if (mean !== undefined) return mean;
    }
    return undefined;
  }

  /** Returns false when the increment is older than the window. */
  #add(role: SignalRole, increment: Increment, nowMs: number): boolean {
    switch (role.signal) {
      case 'responseTime':
        if (increment.kind !== 'histogram') return true;
        if (!this.#finished(role, increment.count, increment, nowMs)) return false;
        // Failures are often fast. Counted as response times they would make an outage look like an improvement.
        if (role.outcome === 'error') return true;
        return this.#latency(role.signal, role.rank, role.msPerUnit, increment, nowMs);
      case 'timeToFirstToken':
      case 'timePerOutputToken':
      case 'queueTime':
        if (increment.kind !== 'histogram' || role.outcome === 'error') return true;
        return this.#latency(role.signal, role.rank, role.msPerUnit, increment, nowMs);
      case 'totalTime': {
        if (increment.kind !== 'sum') return true;
        const { delta, startMs, endMs } = increment;
        const totalMs = delta * role.msPerUnit;
        if (this.#isTimedByTotal(role.of, role.rank)) this.#history?.durationTotal(role.of, 0, totalMs, endMs, nowMs);
        return this.#total(role.rank).spend(role.of, totalMs, startMs, endMs, nowMs);
      }
      case 'requests': {
        if (increment.kind !== 'sum') return true;
        const { delta, startMs, endMs } = increment;
        // Failures are neither timed nor in the mean.
        if (role.times === 'total' && role.outcome === 'ok') {
          this.#total(role.rank).count('requests', delta, startMs, endMs, nowMs);
          for (const signal of TIMED_BY_REQUESTS) {
            if (this.#isTimedByTotal(signal, role.rank)) this.#history?.durationTotal(signal, delta, 0, endMs, nowMs);
          }
        }
        return this.#finished(role, delta, increment, nowMs);
      }
      case 'queueDepth':
      case 'inFlight':
      case 'cacheUsage':
      case 'cpuPressure':
      case 'memoryPressure':
      case 'ioPressure':
      case 'cpuThrottled':
      case 'diskUsed':
      case 'inodesUsed':
      case 'diskBusy':
      case 'diskWait':
        return increment.kind !== 'gauge' || this.#level(role.signal, role.rank, role.scale, increment, nowMs);
      case 'reward':
        // Of interest to the tuner alone.
        return true;
      case 'tokens': {
        const tokens = increment.kind === 'sum' ? increment.delta : increment.kind === 'histogram' ? increment.sum : 0;
        const window = this.#tokens[role.direction];
        const signal = `tokens ${role.direction}`;
        if (tokens === undefined) return true;
        if (role.times === 'total' && role.direction === 'output') {
          const { startMs, endMs } = increment;
          const amount = tokens * role.scale;
          this.#total(role.rank).count('outputTokens', amount, startMs, endMs, nowMs);
          const signal = 'timePerOutputToken';
          if (this.#isTimedByTotal(signal, role.rank)) this.#history?.durationTotal(signal, amount, 0, endMs, nowMs);
        }
        if (!this.#isBest(signal, role.rank, window, nowMs, tokens > 0)) return true;
        const kept = role.direction === 'input' ? 'inputTokens' : 'outputTokens';
        this.#history?.events(kept, tokens * role.scale, increment.startMs, increment.endMs, nowMs);
        return window.add('ok', tokens * role.scale, increment.startMs, increment.endMs, nowMs);
      }
      case 'resource':
        // The machine's CPU and memory are not the component's: some exporters send both under one service name.
        if (role.scope === 'host' && role.measure !== 'limit' && this.component !== HOST) {
          if (role.resource === 'cpu' || role.resource === 'memory') return true;
        }
        return this.#resource(role.resource).add(role, increment, nowMs);
    }
  }

  #queueDepth(nowMs: number): PerformanceProfile['metrics']['queueDepth'] {
    const window = this.#levels.get('queueDepth');
    const depth = window?.metrics(nowMs);
    const trend = window?.trend(nowMs);
    return depth && { ...depth, ...present({ trend }) };
  }

  #finished(role: LatencyRole | RequestsRole, count: number, { startMs, endMs }: Increment, nowMs: number): boolean {
    if (!this.#isBest('requests', requestsRank(role), this.#traffic, nowMs, count > 0)) return true;
    // Both, because a minute without failures is one in which none were counted, and not one that nothing is known of.
    this.#history?.events('throughput', role.outcome === 'ok' ? count : 0, startMs, endMs, nowMs);
    this.#history?.events('errors', role.outcome === 'ok' ? 0 : count, startMs, endMs, nowMs);
    return this.#traffic.add(role.outcome, count, startMs, endMs, nowMs);
  }

  #latency(
    signal: LatencySignal,
    rank: number,
    msPerUnit: number,
    increment: HistogramIncrement,
    nowMs: number,
  ): boolean {
    const window = entry(this.#latencies, signal, () => new LatencyWindow(...this.#size));
    const isBest = this.#isBest(signal, rank, window, nowMs, increment.count > 0);
    if (isBest && increment.count > 0) this.#history?.durations(signal, increment, msPerUnit, nowMs);
    return !isBest || window.add(increment, msPerUnit, nowMs);
  }

  #level(signal: LevelSignal, rank: number, scale: number, increment: GaugeIncrement, nowMs: number): boolean {
    // Queues of several engines add up; shares of their caches and of their time do not.
    const isShare = signal !== 'queueDepth' && signal !== 'inFlight';
    const combine = isDisk(signal) ? 'max' : isShare ? 'device_mean' : 'sum';
    const window = entry(this.#levels, signal, () => new LevelWindow(...this.#size, combine));
    if (!this.#isBest(signal, rank, window, nowMs, true)) return true;
    const device = isShare ? String(increment.series.id) : '';
    return window.set(increment.series, increment.value * scale, device, increment.endMs, nowMs);
  }

  #total(rank: number): TotalsWindow {
    return entry(this.#totals, rank, () => new TotalsWindow(...this.#size));
  }

  /** Whether a signal's mean is that of two counters, and these are of the rank that counts. */
  #isTimedByTotal(signal: LatencySignal, rank: number): boolean {
    return !this.#latencies.has(signal) && rank === Math.min(rank, ...this.#totals.keys());
  }

  #meanFromTotals(signal: LatencySignal, nowMs: number): LatencyMetrics | undefined {
    const ranks = [...this.#totals.keys()].sort((a, b) => a - b);
    for (const rank of ranks) {
      const metrics = this.#totals.get(rank)?.metrics(signal, nowMs);
      if (metrics !== undefined) return metrics;
    }
    return undefined;
  }

  /** Whether a source of this rank counts; when a better one has just come, what the one before it said is dropped. */
  #isBest(signal: string, rank: number, window: { clear(): void }, nowMs: number, isActive: boolean): boolean {
    const offer = entry(this.#precedence, signal, () => new Precedence(this.#windowMs)).offer(rank, nowMs, isActive);
    if (offer === 'replaced') {
      window.clear();
      for (const kept of KEPT_OF[signal] ?? []) this.#history?.clear(kept);
    }
    return offer !== 'skip';
  }

  #resource(resource: Resource): ResourceWindow {
    return entry(this.#resources, resource, () => new ResourceWindow(resource, ...this.#size));
  }
}

/** The profiles of all components, and of the machine they share. */
export class ProfileStore {
  readonly #window: ProfileWindow;
  readonly #maxComponents: number;
  readonly #host: ComponentProfile;
  readonly #profiles = new Map<string, ComponentProfile>();
  #refused = 0;

  constructor(window: ProfileWindow, maxComponents: number) {
    this.#window = window;
    this.#maxComponents = maxComponents;
    this.#host = new ComponentProfile(HOST, window);
  }

  /** `component`: undefined for series of the machine as a whole. */
  observe(component: string | undefined, role: SignalRole, increment: Increment, nowMs: number): void {
    const profile = component === undefined ? this.#host : this.open(component);
    profile?.observe(role, increment, nowMs);
  }

  /** The component's profile, made when there is none yet; undefined, and counted, beyond `maxComponents`. */
  open(component: string): ComponentProfile | undefined {
    const known = this.#profiles.get(component);
    if (known !== undefined) return known;
    if (component === HOST || this.#profiles.size >= this.#maxComponents) {
      this.#refused += 1;
      return undefined;
    }
    const profile = new ComponentProfile(component, this.#window);
    this.#profiles.set(component, profile);
    return profile;
  }

  get(component: string): ComponentProfile | undefined {
    return this.#profiles.get(component);
  }

  get components(): readonly string[] {
    return [...this.#profiles.keys()];
  }

  /** Undefined for a component that has never been heard of. */
  snapshot(component: string, nowMs: number): PerformanceProfile | undefined {
    return this.#profiles.get(component)?.snapshot(nowMs, this.#host);
  }

  /** What one component uses of a resource now. */
  usage(component: string, resource: Resource, nowMs: number): ResourceUsage | undefined {
    return this.#profiles.get(component)?.usage(resource, nowMs, this.#host);
  }

  /** See `ComponentProfile.sampleLevels`: cheap enough for every tick. */
  sampleLevels(nowMs: number): void {
    for (const profile of this.#profiles.values()) profile.sampleLevels(nowMs, this.#host);
  }

  /** See `ComponentProfile.intervals`. */
  intervals(component: string, signal: HistorySignal, nowMs: number): readonly Rollup[] {
    return this.#profiles.get(component)?.intervals(signal, nowMs, this.#host) ?? [];
  }

  /** Minutes of history that changed since this was last called, whole, of all components. */
  takeHistory(nowMs: number): readonly Rollup[] {
    return [...this.#profiles.values()].flatMap((profile) => profile.takeHistory(nowMs));
  }

  /** Points that came too late for history. */
  get lateForHistory(): number {
    return [...this.#profiles.values()].reduce((late, profile) => late + profile.lateForHistory, 0);
  }

  /** The machine's own profile, under no name. */
  machine(nowMs: number): PerformanceProfile {
    return this.#host.snapshot(nowMs);
  }

  /** The machine's own profile. */
  get host(): ComponentProfile {
    return this.#host;
  }

  forget(component: string): void {
    this.#profiles.delete(component);
  }

  /** `components`: increments for which there was no room. */
  get dropped(): ProfileDrops & { readonly components: number } {
    let { old, parts } = this.#host.dropped;
    for (const profile of this.#profiles.values()) {
      old += profile.dropped.old;
      parts += profile.dropped.parts;
    }
    return { old, parts, components: this.#refused };
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

type Present<T> = { [key in keyof T as undefined extends T[key] ? never : key]: T[key] } & {
  [key in keyof T as undefined extends T[key] ? key : never]?: Exclude<T[key], undefined>;
};

/** Leaves out what is undefined: absent, not "present and undefined". */
function present<T extends object>(fields: T): Present<T> {
  // `Object.fromEntries` cannot know its keys; the type says exactly what the filter does.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}

function isDisk(signal: LevelSignal): boolean {
  return DISK_SIGNALS.some((disk) => disk === signal);
}
