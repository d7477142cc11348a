import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { type HistoryReader, type HistoryStepMs, MAX_ROWS } from '../../core/history/reader.ts';
import { HOUR_MS, MINUTE_MS, type Rollup } from '../../core/history/rollup.ts';
import { HISTORY_SIGNALS, HISTORY_UNITS, type HistorySignal, isHistorySignal } from '../../core/history/signal.ts';
import {
  type HistoryStepSchema,
  type QueryHistoryRequest,
  type QueryHistoryResponse,
  QueryHistoryResponseSchema,
} from '../../gen/performance_optimizer/control/v1/history_pb.ts';
import { decodeDurationMs, decodeTimeMs, encodeTimeMs } from '../../rpc/knob_codec.ts';
import { quote } from './hello.ts';
import type { ControlPorts } from './ports.ts';
import { BadRequest, name, Refused } from './unary.ts';

/** Answers one question about the past. */
export function queryHistory(
  { history, intervals }: Pick<ControlPorts, 'history' | 'intervals'>,
  request: QueryHistoryRequest,
): QueryHistoryResponse {
  const component = name('component', request.component);
  const signal = signalOf(request.signal);
  const stepMs = stepOf(decodeDurationMs(request.step));
  const fromMs = request.from === undefined ? 0 : decodeTimeMs(request.from);
  const toMs = request.to === undefined ? Number.MAX_SAFE_INTEGER : decodeTimeMs(request.to);
  if (!(fromMs <= toMs)) throw new BadRequest('from must not be after to');
  if (request.fullResolution) {
    if (signal === 'errors') throw new BadRequest('errors are kept by the minute and the hour, not by the interval');
    const latest = intervals?.(component, signal).filter(({ startMs }) => startMs >= fromMs && startMs < toMs) ?? [];
    return create(QueryHistoryResponseSchema, { unit: HISTORY_UNITS[signal], steps: latest.map(encodeStep) });
  }
  if (history === undefined)
    throw new Refused(status.FAILED_PRECONDITION, 'no history is kept; the agent’s log says why');
  const limit = request.limit === 0 ? MAX_ROWS : Math.min(request.limit, MAX_ROWS);
  const rows = history.read({ component, signal, stepMs, fromMs, toMs, limit });
  if (rows.length === 0) refuseUnknown(history, component, signal);
  const last = rows.at(-1);
  return create(QueryHistoryResponseSchema, {
    unit: HISTORY_UNITS[signal],
    steps: rows.map(encodeStep),
    ...(last !== undefined && rows.length === limit && { next: encodeTimeMs(last.startMs + stepMs) }),
  });
}

function signalOf(text: string): HistorySignal {
  if (isHistorySignal(text)) return text;
  throw new BadRequest(`signal ${quote(text)} is not one of ${HISTORY_SIGNALS.join(', ')}`);
}

function stepOf(ms: number): HistoryStepMs {
  if (ms === 0 || ms === MINUTE_MS) return MINUTE_MS;
  if (ms === HOUR_MS) return HOUR_MS;
  throw new BadRequest(`step of ${ms} ms: kept are a minute and an hour`);
}

/** No rows in a range is an answer; no rows at all is most likely a wrong name. */
function refuseUnknown(history: HistoryReader, component: string, signal: HistorySignal): void {
  const kept = history.kept();
  const ofComponent = kept.filter((one) => one.component === component).map((one) => one.signal);
  if (ofComponent.includes(signal)) return;
  const components = [...new Set(kept.map((one) => one.component))].slice(0, 20).join(', ') || 'none yet';
  throw new Refused(
    status.NOT_FOUND,
    ofComponent.length === 0
      ? `there is no history of component ${quote(component)}; there is of: ${components}`
      : `there is no history of ${signal} of ${quote(component)}; there is of: ${ofComponent.join(', ')}`,
  );
}

function encodeStep({ startMs, count, sum, min, max, sketch }: Rollup): MessageInitShape<typeof HistoryStepSchema> {
  const quantile = (q: number) => sketch?.quantile(q, min, max);
  const [p50, p95, p99] = [quantile(0.5), quantile(0.95), quantile(0.99)];
  const buckets = sketch?.buckets();
  return {
    start: encodeTimeMs(startMs),
    count,
    sum,
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(p50 !== undefined && { p50 }),
    ...(p95 !== undefined && { p95 }),
    ...(p99 !== undefined && { p99 }),
    ...(buckets !== undefined && {
      sketch: { buckets: buckets.map(([bucket]) => bucket), weights: buckets.map(([, weight]) => weight) },
    }),
  };
}
