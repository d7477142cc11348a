import type { HealthReport } from '../core/answers.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeHealthReport } from '../rpc/answers_codec.ts';
import { describeHealth, measured } from './analytics.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag } from './shell.ts';
import { type Paint, paint, printable } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

export const healthCommand: Command = {
  name: 'health',
  synopsis: '[--json]',
  summary: 'show how well the system and its components are; fails when unhealthy',
  details: [
    ADDRESS_HELP,
    '  --json          everything, as the protocol says it',
    'Exit code 1 where the system is unhealthy, so that a script may ask.',
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [0, 0],
  async run(given, shell) {
    const response = await askAgent(given, shell, TuningService.method.checkHealth, {});
    const report = decodeHealthReport(response);
    shell.out(
      hasFlag(given, 'json')
        ? jsonOf(TuningService.method.checkHealth.output, response)
        : describe(report, paint(shell.hasColours)),
    );
    return report.health.status === 'unhealthy' ? EXIT.failed : EXIT.ok;
  },
};

function describe({ health, responseTimeMs, requestsPerSecond, components }: HealthReport, colours: Paint): string {
  const head = `${describeHealth(health, colours)}, ${measured(responseTimeMs, ' ms')}, ${measured(requestsPerSecond, ' requests/s')}`;
  const width = Math.max(0, ...components.map(({ component }) => printable(component).length));
  return [
    head,
    ...components.map((one) => `${printable(one.component).padEnd(width)}  ${describeHealth(one.health, colours)}`),
  ].join('\n');
}
