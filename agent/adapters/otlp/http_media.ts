import { status } from '@grpc/grpc-js';
import type { Encoding } from './inflate.ts';
import { exportResponse, statusMessage } from './response.ts';

/** How a request is written, and its answer too. */
export type Media = 'application/x-protobuf' | 'application/json';

/** `undefined` for what is neither. Parameters (`; charset=utf-8`) and case do not matter. */
export function mediaOf(contentType: string | undefined): Media | undefined {
  // The usual spellings first.
  if (contentType === 'application/x-protobuf' || contentType === 'application/json') return contentType;
  const bare = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  return bare === 'application/x-protobuf' || bare === 'application/json' ? bare : undefined;
}

/** How the body is compressed: `none`, or `undefined` for what we cannot undo. */
export function compressionOf(contentEncoding: string | undefined): Encoding | 'none' | undefined {
  if (contentEncoding === undefined) return 'none';
  switch (contentEncoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      return 'none';
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    case 'deflate':
      return 'deflate';
    case 'zstd':
      return 'zstd';
    default:
      return undefined;
  }
}

const EMPTY_JSON = Buffer.from('{}');

/** `ExportMetricsServiceResponse`. */
export function successBody(media: Media, rejected: number, message: string): Buffer {
  if (media === 'application/x-protobuf') return exportResponse(rejected, message);
  if (rejected === 0) return EMPTY_JSON;
  // 64-bit integers are strings in protobuf's JSON.
  return Buffer.from(
    JSON.stringify({ partialSuccess: { rejectedDataPoints: String(rejected), errorMessage: message } }),
  );
}

/** The code of gRPC that says the same as one of HTTP. */
const GRPC_CODES: ReadonlyMap<number, status> = new Map([
  [400, status.INVALID_ARGUMENT],
  [404, status.NOT_FOUND],
  [405, status.UNIMPLEMENTED],
  [408, status.DEADLINE_EXCEEDED],
  [413, status.RESOURCE_EXHAUSTED],
  [415, status.INVALID_ARGUMENT],
  [429, status.UNAVAILABLE],
  [431, status.RESOURCE_EXHAUSTED],
  [503, status.UNAVAILABLE],
]);

/** `google.rpc.Status`. */
export function errorBody(media: Media, httpCode: number, message: string): Buffer {
  const code = GRPC_CODES.get(httpCode) ?? status.INTERNAL;
  return media === 'application/json' ? Buffer.from(JSON.stringify({ code, message })) : statusMessage(code, message);
}
