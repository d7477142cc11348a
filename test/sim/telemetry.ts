import type { AttributeValue, HistogramPoint, SampleBatch, Series, Temporality } from '../../agent/core/model.ts';
import { type Recorder, resetRecorder } from './plant/plant.ts';

/**
 * The process's metrics exporter: turns what the plant recorded into the points that an OpenTelemetry SDK would send for
 * `http.server.request.duration` (one series per status code) and `process.memory.usage`.
 *
 * Cumulative points start at the process's start; delta points at the export before.
 */
export class Exporter {
  #ok: Series;
  #failed: Series;
  #memory: Series;
  #memoryLimit: Series;
  readonly #limitBytes: number | undefined;
  readonly #isDelta: boolean;
  readonly #processStartMs: number;
  #lastMs: number;
  #failedBefore = false;

  constructor(
    component: string,
    instanceUid: string,
    incarnation: number,
    temporality: Temporality,
    startMs: number,
    limitBytes: number | undefined,
    nextSeriesId: () => number,
  ) {
    const resource = new Map<string, AttributeValue>([
      ['service.name', component],
      ['service.instance.id', `${instanceUid}-${incarnation}`],
    ]);
    const base = { scope: 'sim', resource, monotonic: true, unit: 's', temporality };
    const requests = (status: number): Series => ({
      ...{ ...base, id: nextSeriesId(), name: 'http.server.request.duration', kind: 'histogram' },
      attributes: new Map<string, AttributeValue>([
        ['http.request.method', 'POST'],
        ['http.response.status_code', status],
        ...(status < 500 ? [] : [['error.type', String(status)] as const]),
      ]),
    });
    this.#ok = requests(200);
    this.#failed = requests(503);
    this.#memory = {
      ...{ id: nextSeriesId(), name: 'process.memory.usage', unit: 'By', kind: 'gauge', monotonic: false },
      ...{ scope: 'sim', resource, attributes: new Map() },
    };
    // What the agent's own sampler reads from the cgroup.
    this.#memoryLimit = { ...this.#memory, id: nextSeriesId(), name: 'container.memory.limit' };
    this.#limitBytes = limitBytes;
    this.#isDelta = temporality === 'delta';
    this.#processStartMs = startMs;
    this.#lastMs = startMs;
  }

  /** The receiving agent was replaced: its interner makes new identities for the same series. */
  renumber(nextSeriesId: () => number): void {
    this.#ok = { ...this.#ok, id: nextSeriesId() };
    this.#failed = { ...this.#failed, id: nextSeriesId() };
    this.#memory = { ...this.#memory, id: nextSeriesId() };
    this.#memoryLimit = { ...this.#memoryLimit, id: nextSeriesId() };
  }

  /** Reads the recorder and, for delta, empties it. */
  collect(recorder: Recorder, nowMs: number): SampleBatch {
    const rows: Row[] = [];
    const startMs = this.#isDelta ? this.#lastMs : this.#processStartMs;
    const { bounds } = recorder;
    if (recorder.count > 0 || !this.#isDelta) {
      const point = { count: recorder.count, sum: recorder.sumS, bounds, counts: recorder.counts.slice() };
      rows.push({ series: this.#ok, startMs, value: 0, point });
    }
    // An SDK makes a series when it first records to it.
    this.#failedBefore ||= recorder.errorCount > 0;
    if (recorder.errorCount > 0 || (this.#failedBefore && !this.#isDelta)) {
      const counts = recorder.errorCounts.slice();
      const point = { count: recorder.errorCount, sum: recorder.errorSumS, bounds, counts };
      rows.push({ series: this.#failed, startMs, value: 0, point });
    }
    if (recorder.memoryBytes > 0) {
      rows.push({ series: this.#memory, startMs: 0, value: recorder.memoryBytes, point: undefined });
      const limitBytes = this.#limitBytes;
      if (limitBytes !== undefined) {
        rows.push({ series: this.#memoryLimit, startMs: 0, value: limitBytes, point: undefined });
      }
    }
    if (this.#isDelta) resetRecorder(recorder);
    this.#lastMs = nowMs;
    return batchOf(rows, nowMs);
  }
}

interface Row {
  readonly series: Series;
  /** 0: none, as for gauges. */
  readonly startMs: number;
  readonly value: number;
  readonly point: HistogramPoint | undefined;
}

/** Plain arrays: for three rows the builder's typed columns would cost more than everything else in an export. */
function batchOf(rows: readonly Row[], timeMs: number): SampleBatch {
  return {
    size: rows.length,
    series: rows.map((row) => row.series),
    startMs: rows.map((row) => Math.floor(row.startMs)),
    startSubMsNs: rows.map((row) => subMsNs(row.startMs)),
    timeMs: rows.map(() => Math.floor(timeMs)),
    timeSubMsNs: rows.map(() => subMsNs(timeMs)),
    value: rows.map((row) => row.value),
    histogram: rows.map((row) => row.point),
    flags: rows.map(() => 0),
  };
}

function subMsNs(instantMs: number): number {
  return Math.min(999_999, Math.round((instantMs - Math.floor(instantMs)) * 1e6));
}
