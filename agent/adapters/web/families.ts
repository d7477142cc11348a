import { type OwnMetric, ownMetrics, STEP_DURATION } from '../readings/own_metrics.ts';
import type { Readings } from '../readings/readings.ts';
import type { Family, HistogramValue } from './exposition.ts';

/**
 * The agent's own metrics under the names that OpenTelemetry gives them in Prometheus: dots become underscores, a base unit is spelled
 * out at the end. Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
 */
export function ownFamilies(readings: Readings, steps: HistogramValue): readonly Family[] {
  const { name, unit, description } = STEP_DURATION;
  return [
    {
      name: 'performance_optimizer_build',
      type: 'info',
      help: 'The version that runs.',
      values: [{ labels: { version: readings.version } }],
    },
    { ...named(name, unit), type: 'histogram', help: description, values: [steps] },
    ...ownMetrics(readings).flatMap((metric) => (metric.points.length === 0 ? [] : familyOf(metric))),
  ];
}

function familyOf({ name, kind, unit, description, points }: OwnMetric): Family {
  return {
    ...named(name, kind === 'counter' || unit !== '1' ? unit : 'ratio'),
    type: kind === 'counter' ? 'counter' : 'gauge',
    help: description,
    values: points.map(({ value, attributes }) => ({
      value,
      ...(attributes !== undefined && {
        labels: Object.fromEntries(Object.entries(attributes).map(([key, text]) => [underscored(key), text])),
      }),
    })),
  };
}

const SPELLED_OUT: Readonly<Record<string, string>> = { s: 'seconds', By: 'bytes', ratio: 'ratio' };

function named(name: string, unit: string): { readonly name: string; readonly unit?: string } {
  const spelledOut = SPELLED_OUT[unit];
  const plain = underscored(name);
  return spelledOut === undefined ? { name: plain } : { name: `${plain}_${spelledOut}`, unit: spelledOut };
}

function underscored(name: string): string {
  return name.replaceAll('.', '_');
}
