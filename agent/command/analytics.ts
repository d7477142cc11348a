import type { Analytics, ComponentAnalytics } from '../core/answers.ts';
import type { Health } from '../core/health.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeAnalytics } from '../rpc/answers_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag } from './shell.ts';
import { figure, type Paint, paint, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

export const analyticsCommand: Command = {
  name: 'analytics',
  synopsis: '[--json]',
  summary: 'show how the system and its components perform',
  details: [
    'What each number means, with its formula, is in config/formulas.md.',
    ADDRESS_HELP,
    '  --json          everything, as the protocol says it',
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [0, 0],
  async run(given, shell) {
    const analytics = await askAgent(given, shell, TuningService.method.getAnalytics, {});
    shell.out(
      hasFlag(given, 'json')
        ? jsonOf(TuningService.method.getAnalytics.output, analytics)
        : describe(decodeAnalytics(analytics), paint(shell.hasColours)),
    );
    return EXIT.ok;
  },
};

/** `healthy, 0.98`, in the colour of it. */
export function describeHealth(health: Health, colours: Paint): string {
  if (health.status === 'unknown') return colours.dim('unknown');
  const text = `${health.status}, ${health.score.toFixed(2)} (${health.worst})`;
  return health.status === 'healthy' ? colours.good(text) : colours.bad(text);
}

/** Nothing where it was not measured. */
export function measured(value: number | undefined, unit = ''): string {
  return value === undefined ? '–' : `${figure(value)}${unit}`;
}

function describe({ system, components }: Analytics, colours: Paint): string {
  const rows: readonly (readonly [string, string])[] = [
    ['health', describeHealth(system.health, colours)],
    ['average think time', measured(system.averageThinkTimeMs, ' ms')],
    ['total throughput', measured(system.totalThroughputPerSecond, ' requests/s')],
    ['resource efficiency', share(system.resourceEfficiency)],
    ['optimization score', share(system.optimizationScore)],
    ['adaptation rate', `${figure(system.adaptationRatePerHour)} changes kept per hour`],
  ];
  const lines = rows.map(([name, value]) => `${name.padEnd(20)} ${value}`);
  if (components.length === 0) return [...lines, '', 'no component is known yet'].join('\n');
  const heading = ['component', 'tier', 'health', 'performance', 'mean', 'p95', 'requests/s', 'errors', 'trend'];
  return [...lines, '', table([heading, ...components.map(rowOf)], colours)].join('\n');
}

function rowOf(component: ComponentAnalytics): readonly string[] {
  const { tier, health, performanceScore, responseTimeMs, responseTimeMsP95, requestsPerSecond } = component;
  return [
    printable(component.component),
    tier ?? '–',
    health.status,
    share(performanceScore),
    measured(responseTimeMs, ' ms'),
    measured(responseTimeMsP95, ' ms'),
    measured(requestsPerSecond),
    share(component.errorRatio),
    measured(component.trend),
  ];
}

function share(ratio: number | undefined): string {
  return ratio === undefined ? '–' : `${(ratio * 100).toFixed(1)} %`;
}
