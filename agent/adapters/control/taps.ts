import { performance } from 'node:perf_hooks';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Metadata, type ServerWritableStream, status } from '@grpc/grpc-js';
import type { AttributeValue } from '../../core/model.ts';
import {
  type TappedPointSchema,
  type TapRequest,
  type TapResponse,
  TapResponseSchema,
} from '../../gen/performance_optimizer/control/v1/tap_pb.ts';
import { encodeTimeMs } from '../../rpc/knob_codec.ts';
import type { ControlLimits, ControlPorts, TappedPoint } from './ports.ts';

/** More than anybody reads; showing a point costs about as much as taking in ten. */
const POINTS_PER_SECOND = 5_000;
const POINTS_PER_MESSAGE = 256;
/** Who may be sent no points for now hears this often how many it missed. */
const TELL_EVERY_MS = 250;
const MAX_TEXT = 1_000;
const MAX_ATTRIBUTES = 32;

/** Those who look at what comes in. */
export class Taps {
  readonly #open: ControlPorts['tap'];
  readonly #limits: ControlLimits;
  readonly #monotonicMs: () => number;
  readonly #ends = new Set<(reason: string) => void>();

  constructor(open: ControlPorts['tap'], limits: ControlLimits, monotonicMs = () => performance.now()) {
    this.#open = open;
    this.#limits = limits;
    this.#monotonicMs = monotonicMs;
  }

  add(call: ServerWritableStream<TapRequest, TapResponse>): void {
    const refuse = (code: status, details: string): void => void call.emit('error', { code, details });
    const { maxTaps } = this.#limits;
    const { metric, component, attributes } = call.request;
    const texts = [metric, component, ...Object.entries(attributes).flat()];
    if (this.#open === undefined) return refuse(status.UNIMPLEMENTED, 'nothing is received that could be shown');
    if (this.#ends.size >= maxTaps) return refuse(status.RESOURCE_EXHAUSTED, `${maxTaps} taps are open already`);
    if (texts.length > MAX_ATTRIBUTES * 2 || texts.some(({ length }) => length > MAX_TEXT)) {
      const allowed = `at most ${MAX_ATTRIBUTES - 1} attributes, and ${MAX_TEXT} characters each`;
      return refuse(status.INVALID_ARGUMENT, `too much is asked for: allowed are ${allowed}`);
    }
    const reader = new Reader(call, this.#monotonicMs);
    const filter = { attributes, ...(metric !== '' && { metric }), ...(component !== '' && { component }) };
    const close = this.#open(filter, reader);
    const end = (reason?: string): void => {
      if (!this.#ends.delete(end)) return;
      close();
      if (reason !== undefined) refuse(status.UNAVAILABLE, reason);
    };
    this.#ends.add(end);
    call.on('cancelled', () => end());
    // The headers tell the reader that it misses nothing unsaid from here on.
    call.sendMetadata(new Metadata());
  }

  endAll(reason: string): void {
    for (const end of [...this.#ends]) end(reason);
  }
}

/** Sends what its stream takes, and what it does not take it counts. */
class Reader {
  readonly #call: ServerWritableStream<TapRequest, TapResponse>;
  readonly #monotonicMs: () => number;
  #isBlocked = false;
  #missed = 0;
  /** Points that may be sent yet: what a second allows at most. */
  #allowance = POINTS_PER_SECOND;
  #refilledMs: number;
  #toldMs = 0;

  constructor(call: ServerWritableStream<TapRequest, TapResponse>, monotonicMs: () => number) {
    this.#call = call;
    this.#monotonicMs = monotonicMs;
    this.#refilledMs = monotonicMs();
    call.on('drain', () => {
      this.#isBlocked = false;
      // Who was too slow hears of it at once, not only when there is more to see.
      if (this.#missed > 0) this.#send([]);
    });
  }

  room(): number {
    const nowMs = this.#monotonicMs();
    const refill = ((nowMs - this.#refilledMs) * POINTS_PER_SECOND) / 1_000;
    this.#allowance = Math.min(POINTS_PER_SECOND, this.#allowance + Math.max(0, refill));
    this.#refilledMs = nowMs;
    return this.#isBlocked ? 0 : Math.floor(this.#allowance);
  }

  take(points: readonly TappedPoint[], missed: number): void {
    this.#allowance -= points.length;
    this.#missed += missed;
    if (points.length === 0 && this.#refilledMs - this.#toldMs > TELL_EVERY_MS) this.#send([]);
    for (let at = 0; at < points.length; at += POINTS_PER_MESSAGE)
      this.#send(points.slice(at, at + POINTS_PER_MESSAGE));
  }

  #send(points: readonly TappedPoint[]): void {
    if (this.#isBlocked) {
      this.#missed += points.length;
      return;
    }
    const message = create(TapResponseSchema, { points: points.map(encodePoint), missed: BigInt(this.#missed) });
    this.#missed = 0;
    this.#toldMs = this.#refilledMs;
    this.#isBlocked = !this.#call.write(message);
  }
}

const NO_RECORDED_VALUE = 1;

function encodePoint({
  source,
  batch,
  row,
  series,
  component,
  signal,
}: TappedPoint): MessageInitShape<typeof TappedPointSchema> {
  const { name, unit, kind, temporality = '', attributes } = series;
  const [startMs = 0, timeMs = 0] = [batch.startMs[row], batch.timeMs[row]];
  const histogram = batch.histogram[row] ?? batch.exponential?.[row];
  const isNumber = (kind === 'gauge' || kind === 'sum') && ((batch.flags[row] ?? 0) & NO_RECORDED_VALUE) === 0;
  return {
    time: encodeTimeMs(timeMs),
    ...(startMs > 0 && kind !== 'gauge' && { start: encodeTimeMs(startMs) }),
    ...{ source, component, metric: name, unit, kind, temporality, signal },
    attributes: Object.fromEntries([...attributes].map(([key, value]) => [key, textOf(value)])),
    ...(isNumber && { value: batch.value[row] ?? 0 }),
    ...(histogram !== undefined && {
      distribution: {
        count: histogram.count,
        ...(histogram.sum !== undefined && { sum: histogram.sum }),
        ...(histogram.min !== undefined && { min: histogram.min }),
        ...(histogram.max !== undefined && { max: histogram.max }),
      },
    }),
  };
}

function textOf(value: AttributeValue): string {
  if (value === null) return '';
  if (typeof value !== 'object') return String(value);
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part));
}
