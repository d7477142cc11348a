import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { retryDetails } from './response.ts';

/** A retry helps, after this long. Only with RetryInfo may an OTLP client retry at all. */
export function unavailable(why: string, retryAfterMs: number): StatusObject {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', retryDetails(status.UNAVAILABLE, why, retryAfterMs));
  return { code: status.UNAVAILABLE, details: why, metadata };
}

/** A retry of the same request does not help. */
export function permanent(code: status, why: string): StatusObject {
  return { code, details: why, metadata: new Metadata() };
}
