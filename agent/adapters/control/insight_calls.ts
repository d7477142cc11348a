import { setImmediate } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { SEVERITIES } from '../../core/detect/anomaly.ts';
import type { CapacityReport } from '../../core/forecast/capacity.ts';
import type { ObservedAnomaly } from '../../core/insight/finding.ts';
import type { InsightReader } from '../../core/insight/reader.ts';
import { PATTERN_TYPES } from '../../core/pattern/pattern.ts';
import { isWatchedSignal, WATCHED_SIGNALS, type WatchedSignal } from '../../core/profile/watched_signal.ts';
import {
  GetCapacityReportResponseSchema,
  GetForecastResponseSchema,
  ListAnomaliesResponseSchema,
  ListPatternsResponseSchema,
} from '../../gen/performance_optimizer/control/v1/insight_pb.ts';
import type { TuningService } from '../../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeDurationMs, encodeTimeMs } from '../../rpc/knob_codec.ts';
import type { Handlers } from '../../rpc/service_definition.ts';
import { quote } from './hello.ts';
import { encodeAnomaly, encodeCapacity, encodeForecast, encodePattern } from './insight_codec.ts';
import type { ControlPorts } from './ports.ts';
import { BadRequest, name, Refused, unary } from './unary.ts';

const DEFAULT_ANOMALIES = 100;
const MAX_ANOMALIES = 1_000;
const DAY_MS = 86_400_000;
const MAX_HORIZON_MS = 14 * DAY_MS;

/** What may be asked about what was found out. */
export function insightCalls({
  insights,
  nowMs,
}: Pick<ControlPorts, 'insights' | 'nowMs'>): Pick<
  Handlers<typeof TuningService>,
  'listAnomalies' | 'listPatterns' | 'getForecast' | 'getCapacityReport'
> {
  return {
    listAnomalies: unary(({ component, metric, openOnly, severity, limit }) => {
      const least = severity === '' ? 0 : wordOf('severity', severity, SEVERITIES);
      const wanted = ({ severity: found, state, metric: of }: ObservedAnomaly): boolean =>
        (metric === '' || of === metric) && (!openOnly || state === 'open') && SEVERITIES.indexOf(found) >= least;
      if (metric !== '') signalOf(metric);
      const components = componentsOf(insights, component);
      const anomalies = components.flatMap((each) => insights.anomalies(each).filter(wanted));
      const paused = components.flatMap((each) => {
        const by = insights.pausedBy(each);
        return by === undefined ? [] : [[each, by.explanation] as const];
      });
      const warmingUp = components.flatMap((each) => {
        const { length } = insights.warmingUp(each);
        return length === 0 ? [] : [[each, length] as const];
      });
      return create(ListAnomaliesResponseSchema, {
        anomalies: anomalies
          .slice(0, limit === 0 ? DEFAULT_ANOMALIES : Math.min(limit, MAX_ANOMALIES))
          .map(encodeAnomaly),
        paused: Object.fromEntries(paused),
        warmingUp: Object.fromEntries(warmingUp),
      });
    }),
    listPatterns: unary(({ component, metric, type }) => {
      if (metric !== '') signalOf(metric);
      if (type !== '') wordOf('type', type, PATTERN_TYPES);
      const patterns = componentsOf(insights, component)
        .flatMap((each) => insights.patterns(each))
        .filter((pattern) => (metric === '' || pattern.metric === metric) && (type === '' || pattern.type === type));
      return create(ListPatternsResponseSchema, { patterns: patterns.map(encodePattern) });
    }),
    getForecast: unary((request) => {
      const component = name('component', request.component);
      const [known = component] = componentsOf(insights, component);
      const signal = signalOf(request.metric);
      const horizonMs = horizonOf(decodeDurationMs(request.horizon), DAY_MS);
      const forecast = insights.forecast(known, signal, horizonMs);
      if (forecast !== undefined) return create(GetForecastResponseSchema, encodeForecast(forecast));
      const signals = insights.forecastSignals(known);
      const there = signals.join(', ') || 'none yet';
      throw new Refused(
        status.FAILED_PRECONDITION,
        signals.includes(signal)
          ? `there is too little history of ${signal} yet: 45 minutes are needed for the next two hours, 9 hours for more`
          : `${signal} of ${quote(known)} is not forecast; forecast are: ${there}`,
      );
    }),
    getCapacityReport: unary(async ({ component, horizon }) => {
      const horizonMs = horizonOf(decodeDurationMs(horizon), 2 * DAY_MS);
      const reports: CapacityReport[] = [];
      for (const each of componentsOf(insights, component)) {
        const report = insights.capacity(each, horizonMs);
        if (report !== undefined) reports.push(report);
        // A component takes some 50 ms: between two, others have their turn.
        await setImmediate();
      }
      return create(GetCapacityReportResponseSchema, {
        time: encodeTimeMs(nowMs()),
        components: reports.map(encodeCapacity),
      });
    }),
  };
}

/** One of the components, or all where the name is empty. */
function componentsOf(insights: InsightReader, component: string): readonly string[] {
  const known = insights.insights();
  if (component === '') return known;
  if (known.includes(name('component', component))) return [component];
  const there = known.map(quote).join(', ') || 'none yet';
  throw new Refused(status.NOT_FOUND, `nothing is known of component ${quote(component)}; known: ${there}`);
}

function signalOf(metric: string): WatchedSignal {
  if (isWatchedSignal(metric)) return metric;
  throw new BadRequest(`metric ${quote(metric)} is not one of ${WATCHED_SIGNALS.join(', ')}`);
}

/** Where the word stands in the list. */
function wordOf(field: string, word: string, words: readonly string[]): number {
  const place = words.indexOf(word);
  if (place < 0) throw new BadRequest(`${field} ${quote(word)} is not one of ${words.join(', ')}`);
  return place;
}

function horizonOf(ms: number, usualMs: number): number {
  if (ms === 0) return usualMs;
  if (ms > 0 && ms <= MAX_HORIZON_MS) return ms;
  throw new BadRequest('horizon must be above 0 and at most 14 days');
}
