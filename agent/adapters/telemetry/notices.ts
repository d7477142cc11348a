import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { Logger } from 'pino';

/** The same exporter, with a line in the log when it begins to fail and when it works again, and none in between. */
export function exporterNotices(exporter: PushMetricExporter, log: Logger): PushMetricExporter {
  let isFailing = false;
  return {
    export(metrics, resultCallback) {
      exporter.export(metrics, (result) => {
        const failed = result.code !== 0;
        if (failed && !isFailing)
          log.warn({ err: result.error }, 'own telemetry cannot be exported; it goes on trying');
        if (!failed && isFailing) log.info('own telemetry is exported again');
        isFailing = failed;
        resultCallback(result);
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
    ...(exporter.selectAggregation && { selectAggregation: (kind) => exporter.selectAggregation!(kind) }),
    ...(exporter.selectAggregationTemporality && {
      selectAggregationTemporality: (kind) => exporter.selectAggregationTemporality!(kind),
    }),
  };
}
