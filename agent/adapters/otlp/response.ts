/**
 * The few messages that a receiver answers with, written by hand: `Export…ServiceResponse { partial_success = 1 }` with
 * `{ rejected = 1, error_message = 2 }`, the same for metrics, traces and logs; and `google.rpc.Status { code = 1,
 * message = 2, details = 3 }` holding `RetryInfo { retry_delay = 1 }`.
 */

/** Everything was taken: `partial_success` is left unset, which makes the message empty. */
export const FULL_SUCCESS: Buffer = Buffer.alloc(0);

export function partialSuccess(rejected: number, message: string): Buffer {
  return field(1, Buffer.concat([Buffer.of(0x08), varint(rejected), field(2, Buffer.from(message))]));
}

/** `rejected` points were refused, and why; 0: full success. */
export function exportResponse(rejected: number, message: string): Buffer {
  return rejected === 0 ? FULL_SUCCESS : partialSuccess(rejected, message);
}

/** `google.rpc.Status` without details. */
export function statusMessage(grpcCode: number, message: string): Buffer {
  return Buffer.concat([Buffer.of(0x08), varint(grpcCode), field(2, Buffer.from(message))]);
}

/** For `grpc-status-details-bin`: tells a client that a retry helps, and when. */
export function retryDetails(grpcCode: number, message: string, retryAfterMs: number): Buffer {
  const seconds = Math.floor(retryAfterMs / 1_000);
  const nanos = Math.round((retryAfterMs - seconds * 1_000) * 1e6);
  const duration = Buffer.concat([Buffer.of(0x08), varint(seconds), Buffer.of(0x10), varint(nanos)]);
  const any = Buffer.concat([
    field(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')),
    field(2, field(1, duration)),
  ]);
  return Buffer.concat([statusMessage(grpcCode, message), field(3, any)]);
}

function field(number: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of((number << 3) | 2), varint(payload.length), payload]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}
