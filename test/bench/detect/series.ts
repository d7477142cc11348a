import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** One column of measurements, in time order. `values` may hold NaN where nothing was recorded. */
export interface TimeSeries {
  readonly name: string;
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
  /** 1 where a person marked an anomaly. Read by scorers only, never by a detector. */
  readonly labels?: Uint8Array;
}

export function readText(path: string): string {
  const bytes = readFileSync(path);
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
}

/** A number, or NaN for an empty or unreadable field: a gap is data too. */
export function parseNumber(field: string | undefined): number {
  return field === undefined || field.trim() === '' ? Number.NaN : Number(field);
}

/** Milliseconds since the epoch of `YYYY-MM-DD HH:MM:SS[.ffffff]` (read as UTC), or of seconds since the epoch. */
export function parseTimeMs(field: string): number {
  if (/^\d+(\.\d+)?$/.test(field)) return Number(field) * 1000;
  const atMs = Date.parse(`${field.slice(0, 19).replace(' ', 'T')}Z`);
  if (Number.isNaN(atMs)) throw new Error(`not a time: "${field}"; expected YYYY-MM-DD HH:MM:SS or epoch seconds`);
  return atMs;
}

/** Reads `timestamp,value[,label]` with a header line. */
export function readSeries(path: string, name: string): TimeSeries {
  const lines = readText(path).split('\n');
  const header = (lines[0] ?? '').trim().split(',');
  const labelled = header[2] === 'label';
  const count = lines.length - 1 - (lines.at(-1) === '' ? 1 : 0);
  const timesMs = new Float64Array(count);
  const values = new Float64Array(count);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const fields = lines[i + 1]!.split(',');
    timesMs[i] = parseTimeMs(fields[0]!.trim());
    values[i] = parseNumber(fields[1]);
    labels[i] = labelled && Number(fields[2]) === 1 ? 1 : 0;
  }
  return labelled ? { name, timesMs, values, labels } : { name, timesMs, values };
}
