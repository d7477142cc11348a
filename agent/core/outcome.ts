import type { AttributeValue, Series } from './model.ts';

export type Outcome = 'ok' | 'error';

/**
 * Did the request fail, seen from the server? Failed: status 5xx, 408, 429 and 499; every gRPC code but OK and those
 * that blame the request. 429 and RESOURCE_EXHAUSTED count because a tuner that may shorten queues must not be able to
 * "improve" latency by turning work away; 499 and CANCELLED because a deadline that passed reaches the server as a
 * cancellation. Other 4xx do not: clients asking for what does not exist say nothing about a setting. Without a status,
 * `error.type` decides, and a good status with an `error.type` is a failure too (a stream that broke half way).
 */
export function outcomeOf(attributes: Series['attributes']): Outcome {
  const http = attributeText(attributes.get('http.response.status_code') ?? attributes.get('http.status_code'));
  const rpc = attributeText(attributes.get('rpc.response.status_code') ?? attributes.get('rpc.grpc.status_code'));
  const hasErrorType = attributeText(attributes.get('error.type')) !== '';
  const status = Number(http);
  if (http !== '' && status >= 400) {
    return status >= 500 || status === 408 || status === 429 || status === 499 ? 'error' : 'ok';
  }
  if (rpc !== '' && rpc !== '0' && rpc.toUpperCase() !== 'OK') {
    return REQUEST_AT_FAULT.has(rpc.toUpperCase()) ? 'ok' : 'error';
  }
  return hasErrorType ? 'error' : 'ok';
}

/** gRPC codes, by name and number, that say that the request itself was wrong. */
const REQUEST_AT_FAULT = new Set([
  ...['INVALID_ARGUMENT', '3', 'NOT_FOUND', '5', 'ALREADY_EXISTS', '6', 'PERMISSION_DENIED', '7'],
  ...['FAILED_PRECONDITION', '9', 'OUT_OF_RANGE', '11', 'UNAUTHENTICATED', '16'],
]);

/** A scalar attribute as text; empty when absent, null or a list. */
export function attributeText(value: AttributeValue | undefined): string {
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value);
}
