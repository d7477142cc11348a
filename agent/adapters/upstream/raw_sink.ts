/** The three kinds of telemetry that OTLP carries, by the last part of their HTTP paths. */
export const TELEMETRY_SIGNALS = ['metrics', 'traces', 'logs'] as const;
export type TelemetrySignal = (typeof TELEMETRY_SIGNALS)[number];

/** How a body is written: an OTLP request as protobuf, or as OTLP's JSON. */
export type RawEncoding = 'protobuf' | 'json';

export type Kept =
  /** The sender may be answered with success. */
  | { readonly state: 'kept' }
  /** It could not be taken; a later attempt may succeed. */
  | { readonly state: 'refused'; readonly retryAfterMs: number };

/** Where a receiver leaves requests that go on as they came. */
export interface RawSink {
  /**
   * Takes one request, uncompressed. The body is kept as it is and must not change afterwards. The sender is answered
   * once the result is there: at once where nothing has to be written, and else when the request is on the disk.
   * Never throws, never rejects, and never waits for the upstream. `via` is what the request's `perfopt-via` header said.
   */
  accept(signal: TelemetrySignal, body: Uint8Array, encoding: RawEncoding, via?: string): Kept | Promise<Kept>;
}

export const KEPT: Kept = { state: 'kept' };
