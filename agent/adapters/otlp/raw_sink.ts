import type { Metadata } from '@grpc/grpc-js';

export type Signal = 'metrics' | 'traces' | 'logs';

export type Kept =
  /** The sender may be answered with success. */
  { readonly state: 'kept' } | { readonly state: 'refused'; readonly retryAfterMs: number };

/** Where requests are left that go on as they came; the answer waits for it. The body must not change afterwards. */
export interface RawSink {
  accept(signal: Signal, body: Uint8Array, encoding: 'protobuf' | 'json', via?: string): Kept | Promise<Kept>;
}

/** In which agents say which of them a request came through. */
export const VIA = 'perfopt-via';

export function viaOf(metadata: Metadata): string {
  return metadata.get(VIA).join(',');
}

const KEPT: Kept = { state: 'kept' };

/** Leaves a request with the sink, where there is one, and says what became of it: at once where that is known at once. */
export function leave(
  sink: RawSink | undefined,
  request: {
    readonly signal: Signal;
    readonly body: Uint8Array;
    readonly encoding: 'protobuf' | 'json';
    readonly via: string;
  },
  conclude: (kept: Kept) => void,
): void {
  // Nothing is nothing upstream as well.
  const kept =
    sink === undefined || request.body.length === 0
      ? KEPT
      : sink.accept(request.signal, request.body, request.encoding, request.via);
  if (kept instanceof Promise) void kept.then(conclude);
  else conclude(kept);
}
