import type { KnobSpec, Setting } from '../../../agent/core/model.ts';
import { MinHeap } from '../heap.ts';
import { Random, seedFor } from '../random.ts';
import type { QueueingPlantSpec, Scenario } from '../scenario.ts';
import { emptyTruth, writePositions } from './analytic.ts';
import { partsOf } from './batching.ts';
import { WeatherModel } from './load.ts';
import type { Plant, Recorder, Truth } from './plant.ts';
import { QueueingTruth } from './queueing_truth.ts';

/** Most requests that wait; a real server's listen queue ends too. What is beyond is answered with an error. */
const MAX_WAITING = 20_000;

/**
 * The batching server request by request, in virtual time: Poisson arrivals at the weather's rate; a batch starts when a
 * server is free and either the batch is full or its oldest request has waited `waitMs`; its service takes
 * `(batchMs + itemMs · b) · sharing` times log-normal variation; a request that has waited longer than the queue timeout
 * fails when it would be picked. New values hold from the next batch on; servers that are busy finish first (drain).
 *
 * Cost: about half a microsecond a request. Its truth is simulated as well (`queueing_truth.ts`).
 */
export class QueueingPlant implements Plant {
  readonly #scenario: Scenario;
  readonly #spec: QueueingPlantSpec;
  readonly #knobs: readonly KnobSpec[];
  readonly #parts: ReturnType<typeof partsOf>;
  readonly #weather: WeatherModel;
  readonly #random: Random;
  readonly #arrivals: Random;
  readonly #u: Float64Array;
  readonly #natural: Float64Array;
  /** Arrival instants of waiting requests, as a ring. */
  readonly #waiting = new Float64Array(MAX_WAITING);
  #head = 0;
  #waitingCount = 0;
  /** Instants at which busy servers become free. */
  readonly #busyUntil = new MinHeap<number>((a, b) => a - b);
  #nextArrivalMs = 0;
  #nowMs = 0;
  #coldBatches = 0;
  #truth: QueueingTruth | undefined;
  #started = false;

  constructor(scenario: Scenario, spec: QueueingPlantSpec, knobs: readonly KnobSpec[], runMs: number, seed: number) {
    this.#scenario = scenario;
    this.#spec = spec;
    this.#knobs = knobs;
    this.#parts = partsOf(spec, knobs);
    this.#weather = new WeatherModel(scenario, runMs, seed);
    this.#random = new Random(seedFor(seed, 'service'));
    this.#arrivals = new Random(seedFor(seed, 'arrivals'));
    this.#u = new Float64Array(knobs.length);
    this.#natural = new Float64Array(knobs.length);
  }

  apply(setting: Setting): void {
    writePositions(this.#knobs, setting, this.#u, this.#natural);
    if (this.#started) this.#coldBatches = this.#spec.warmup?.batches ?? 0;
    this.#started = true;
  }

  advance(toMs: number, recorder: Recorder): boolean {
    if (this.#nextArrivalMs === 0) this.#nextArrivalMs = this.#nowMs + this.#gapMs();
    while (true) {
      const dispatchMs = this.#nextDispatchMs();
      const next = Math.min(this.#nextArrivalMs, dispatchMs);
      if (next > toMs) break;
      this.#nowMs = next;
      if (this.#nextArrivalMs <= dispatchMs) this.#arrive(recorder);
      else this.#dispatch(recorder);
    }
    this.#nowMs = toMs;
    return this.#memory(recorder);
  }

  restart(atMs: number): void {
    this.#nowMs = atMs;
    this.#head = 0;
    this.#waitingCount = 0;
    this.#busyUntil.clear();
    this.#nextArrivalMs = atMs + this.#gapMs();
    this.#started = false;
  }

  truth(setting: Setting, atMs: number): Truth {
    const u = new Float64Array(this.#knobs.length);
    const natural = new Float64Array(this.#knobs.length);
    writePositions(this.#knobs, setting, u, natural);
    const weather = this.#weather.at(atMs);
    const out = emptyTruth();
    this.#truth ??= queueingTruth(this.#scenario, this.#spec, this.#knobs);
    this.#truth.evaluate(u, natural, weather.loadFactor, u, weather.trueLatencyShift, out);
    return out;
  }

  #arrive(recorder: Recorder): void {
    if (this.#waitingCount >= MAX_WAITING) fail(recorder, 0);
    else {
      this.#waiting[(this.#head + this.#waitingCount) % MAX_WAITING] = this.#nowMs;
      this.#waitingCount++;
    }
    this.#nextArrivalMs = this.#nowMs + this.#gapMs();
  }

  /** When the next batch may start: servers free, and the batch full or its oldest request due. */
  #nextDispatchMs(): number {
    if (this.#waitingCount === 0) return Number.POSITIVE_INFINITY;
    const servers = Math.max(1, Math.floor(this.#parts.concurrency(this.#natural)));
    while (this.#busyUntil.size > 0 && this.#busyUntil.peek() <= this.#nowMs) this.#busyUntil.pop();
    // After the concurrency was lowered several servers have to finish before one may start again.
    const freeMs = this.#busyUntil.size < servers ? this.#nowMs : this.#busyUntil.peek();
    const isFull = this.#waitingCount >= Math.max(1, Math.floor(this.#parts.batch(this.#natural)));
    const dueMs = isFull ? this.#nowMs : this.#waiting[this.#head] + this.#parts.waitMs(this.#natural);
    return Math.max(this.#nowMs, freeMs, dueMs);
  }

  #dispatch(recorder: Recorder): void {
    while (this.#busyUntil.size > 0 && this.#busyUntil.peek() <= this.#nowMs) this.#busyUntil.pop();
    const servers = Math.max(1, Math.floor(this.#parts.concurrency(this.#natural)));
    if (this.#busyUntil.size >= servers) return;
    const maxBatch = Math.max(1, Math.floor(this.#parts.batch(this.#natural)));
    const timeoutMs = this.#parts.queueTimeoutMs(this.#natural);
    const taken: number[] = [];
    while (this.#waitingCount > 0 && taken.length < maxBatch) {
      const arrivedMs = this.#waiting[this.#head];
      this.#head = (this.#head + 1) % MAX_WAITING;
      this.#waitingCount--;
      if (this.#nowMs - arrivedMs > timeoutMs) fail(recorder, timeoutMs);
      else taken.push(arrivedMs);
    }
    if (taken.length === 0) return;
    const serviceMs = this.#serviceMs(taken.length);
    this.#busyUntil.push(this.#nowMs + serviceMs);
    for (const arrivedMs of taken) succeed(recorder, this.#nowMs + serviceMs - arrivedMs);
  }

  #serviceMs(batch: number): number {
    const { batchMs, itemMs, variation } = this.#spec.service;
    const sharing = Math.max(1, (this.#busyUntil.size + 1) / this.#spec.cores);
    const spread = Math.sqrt(Math.log(1 + variation * variation));
    const luck = Math.exp(spread * this.#random.normal() - (spread * spread) / 2);
    const shift = Math.exp(this.#weather.at(this.#nowMs).latencyShift);
    return (batchMs + itemMs * batch) * sharing * luck * shift * this.#coldFactor();
  }

  #coldFactor(): number {
    const warmup = this.#spec.warmup;
    if (warmup === undefined || this.#coldBatches <= 0) return 1;
    const factor = 1 + (warmup.slowdown - 1) * (this.#coldBatches / warmup.batches);
    this.#coldBatches--;
    return factor;
  }

  #gapMs(): number {
    const perMs = (this.#scenario.load.requestsPerSecond * this.#weather.at(this.#nowMs).loadFactor) / 1_000;
    return this.#arrivals.exponential(1 / perMs);
  }

  #memory(recorder: Recorder): boolean {
    const memory = this.#spec.memory;
    if (memory === undefined) return false;
    const servers = Math.max(1, this.#parts.concurrency(this.#natural));
    const used = memory.baseBytes + memory.itemBytes * Math.max(1, this.#parts.batch(this.#natural)) * servers;
    recorder.memoryBytes = used * (1 + memory.noise * this.#random.normal());
    const limit = this.#scenario.limits.memoryBytes;
    return limit !== undefined && recorder.memoryBytes > limit;
  }
}

/** One for all plants of a scenario: what is worked out for one seed holds for all. */
export function queueingTruth(scenario: Scenario, spec: QueueingPlantSpec, knobs: readonly KnobSpec[]): QueueingTruth {
  const known = TRUTHS.get(spec);
  if (known !== undefined) return known;
  const made = new QueueingTruth(scenario, spec, knobs, (calm, calmSpec) => {
    return new QueueingPlant(calm, calmSpec, knobs, Number.POSITIVE_INFINITY, 7);
  });
  TRUTHS.set(spec, made);
  return made;
}

const TRUTHS = new WeakMap<QueueingPlantSpec, QueueingTruth>();

function succeed(recorder: Recorder, latencyMs: number): void {
  const latencyS = latencyMs / 1_000;
  recorder.counts[bucketOf(recorder.bounds, latencyS)]++;
  recorder.count++;
  recorder.sumS += latencyS;
}

function fail(recorder: Recorder, latencyMs: number): void {
  const latencyS = latencyMs / 1_000;
  recorder.errorCounts[bucketOf(recorder.bounds, latencyS)]++;
  recorder.errorCount++;
  recorder.errorSumS += latencyS;
}

/** Upper-inclusive buckets, as OTLP defines them. */
function bucketOf(bounds: readonly number[], value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= bounds[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}
