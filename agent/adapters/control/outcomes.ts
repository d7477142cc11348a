/** What processes say came of their work, as points of a histogram over the interval that each speaks of. */
import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { OUTCOME_METRIC } from '../../core/mappings/opentelemetry.ts';
import type { SampleSink } from '../../core/model.ts';
import { SampleBatchBuilder } from '../../core/series/batch.ts';
import type { SeriesIdentity, SeriesInterner } from '../../core/series/interner.ts';
import {
  type ReportOutcomeRequest,
  type ReportOutcomeResponse,
  ReportOutcomeResponseSchema,
} from '../../gen/performance_optimizer/control/v1/outcome_pb.ts';
import { decodeTimeMs } from '../../rpc/knob_codec.ts';
import type { Peer } from './access.ts';
import { quote } from './hello.ts';
import { BadRequest, name, Refused } from './unary.ts';

const OUTCOME_SCOPE = 'performance-optimizer/control';
const MAX_OUTCOMES = 64;
/** Clocks of two processes on one machine agree; those of two machines nearly do. */
const MAX_AHEAD_MS = 5_000;

export interface OutcomePorts {
  readonly sink: SampleSink;
  readonly interner: SeriesInterner;
  /** Wall clock. */
  nowMs(): number;
}

export class Outcomes {
  readonly #ports: OutcomePorts | undefined;

  constructor(ports: OutcomePorts | undefined) {
    this.#ports = ports;
  }

  report({ component, outcomes }: ReportOutcomeRequest, peer: Peer): ReportOutcomeResponse {
    if (this.#ports === undefined) throw new Refused(status.UNIMPLEMENTED, 'this agent takes no outcomes');
    if (!peer.mayHold(name('component', component)))
      throw new Refused(status.PERMISSION_DENIED, `${peer.name} may not speak for component ${quote(component)}`);
    if (outcomes.length === 0 || outcomes.length > MAX_OUTCOMES)
      throw new BadRequest(`outcomes has ${outcomes.length} entries; allowed are 1 to ${MAX_OUTCOMES}`);
    const { sink, interner } = this.#ports;
    const nowMs = this.#ports.nowMs();
    const series = interner.intern(seriesOf(component), nowMs);
    if (series === undefined)
      throw new Refused(status.RESOURCE_EXHAUSTED, 'no room for another series; see capacity.maxSeries');
    const batch = new SampleBatchBuilder(outcomes.length);
    for (const [i, { reward, startTime, endTime }] of outcomes.entries()) {
      const where = `outcomes[${i}]`;
      if (!(reward > 0 && Number.isFinite(reward)))
        throw new BadRequest(`${where}.reward is ${reward}; it must be finite and above 0`);
      if (startTime === undefined || endTime === undefined)
        throw new BadRequest(`${where} needs start_time and end_time`);
      const [startMs, endMs] = [decodeTimeMs(startTime), decodeTimeMs(endTime)];
      if (!(startMs < endMs && endMs <= nowMs + MAX_AHEAD_MS))
        throw new BadRequest(`${where}.end_time must be after start_time and not in the future`);
      const point = { count: 1, sum: reward, bounds: NO_BOUNDS, counts: ONE_COUNT };
      batch.histogramOverMs(series, startMs, endMs, point);
    }
    const taken = sink.accept(batch.build());
    if (taken.state === 'overloaded')
      throw new Refused(status.RESOURCE_EXHAUSTED, `the engine cannot keep up; try again in ${taken.retryAfterMs} ms`);
    return create(ReportOutcomeResponseSchema);
  }
}

/** Without bounds, one bucket holds everything. */
const NO_BOUNDS: readonly number[] = [];
const ONE_COUNT: readonly number[] = [1];

function seriesOf(component: string): SeriesIdentity {
  return {
    name: OUTCOME_METRIC,
    unit: '1',
    kind: 'histogram',
    temporality: 'delta',
    monotonic: false,
    scope: OUTCOME_SCOPE,
    resource: new Map([['service.name', component]]),
    attributes: new Map(),
  };
}
