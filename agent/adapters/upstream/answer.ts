/**
 * The few fields that matter in what an upstream answers, read by hand:
 * `Export…ServiceResponse { partial_success = 1 { rejected = 1; error_message = 2 } }`, the same for all signals, and
 * `google.rpc.Status { message = 2; details = 3 { type_url = 1; value = 2 } }` with `RetryInfo { retry_delay = 1 { seconds = 1;
 * nanos = 2 } }`. Whatever cannot be read counts as not said.
 */

export interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

const NOTHING_REJECTED: PartialSuccess = { rejected: 0, message: '' };
const MAX_MESSAGE = 300;

export function partialSuccessOf(response: Uint8Array): PartialSuccess {
  const partial = bytesOf(response, 1);
  if (partial === undefined) return NOTHING_REJECTED;
  const message = bytesOf(partial, 2);
  return { rejected: numberOf(partial, 1), message: message === undefined ? '' : short(message) };
}

/** The same from OTLP's JSON: `{ "partialSuccess": { "rejectedDataPoints": "3", "errorMessage": "…" } }`. */
export function partialSuccessOfJson(response: Uint8Array): PartialSuccess {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(response).toString());
    const partial = fieldOf(parsed, 'partialSuccess');
    const rejected = ['rejectedDataPoints', 'rejectedSpans', 'rejectedLogRecords'].map((name) =>
      Number(fieldOf(partial, name) ?? 0),
    );
    const count = Math.max(0, ...rejected.filter(Number.isSafeInteger));
    return { rejected: count, message: String(fieldOf(partial, 'errorMessage') ?? '').slice(0, MAX_MESSAGE) };
  } catch {
    // Not JSON: the status code has said all that is known.
    return NOTHING_REJECTED;
  }
}

/** `undefined` without RetryInfo. */
export function retryDelayMs(status: Uint8Array): number | undefined {
  for (const detail of allBytesOf(status, 3)) {
    const type = bytesOf(detail, 1);
    if (type === undefined || !Buffer.from(type).toString().endsWith('/google.rpc.RetryInfo')) continue;
    const duration = bytesOf(bytesOf(detail, 2) ?? new Uint8Array(0), 1);
    if (duration === undefined) return 0;
    return numberOf(duration, 1) * 1_000 + numberOf(duration, 2) / 1e6;
  }
  return undefined;
}

function short(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString().slice(0, MAX_MESSAGE);
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

interface Field {
  readonly number: number;
  /** Of a length-delimited field. */
  readonly bytes?: Uint8Array;
  readonly varint?: number;
}

function bytesOf(message: Uint8Array, number: number): Uint8Array | undefined {
  return allBytesOf(message, number).at(-1);
}

function allBytesOf(message: Uint8Array, number: number): Uint8Array[] {
  return [...fields(message)].flatMap((field) => (field.number === number && field.bytes ? [field.bytes] : []));
}

function numberOf(message: Uint8Array, number: number): number {
  const found = [...fields(message)].filter((field) => field.number === number).at(-1)?.varint ?? 0;
  return Number.isSafeInteger(found) ? found : 0;
}

/** Ends where the message is malformed. */
function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (let n = 0; n < 10; n++) {
      const byte = message[at++] ?? Number.NaN;
      value += (byte & 0x7f) * scale;
      if (!(byte >= 0x80)) return Number.isNaN(byte) ? Number.NaN : value;
      scale *= 0x80;
    }
    return Number.NaN;
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { number, varint: varint() };
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        if (!(at + length <= message.length)) return;
        yield { number, bytes: message.subarray(at, at + length) };
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return;
    }
  }
}
