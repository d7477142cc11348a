import { SEVERITIES } from '../core/detect/anomaly.ts';
import type { Anomaly, ListAnomaliesResponse } from '../gen/performance_optimizer/control/v1/insight_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeDurationMs, decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag, optionOf } from './shell.ts';
import { figure, instant, type Paint, paint, printable, spanOf } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

export const anomaliesCommand: Command = {
  name: 'anomalies',
  synopsis: `[COMPONENT] [--metric NAME] [--severity ${SEVERITIES.join('|')}] [--open] [--limit 100] [--json]`,
  summary: 'list what is odd now or was lately, with what was expected',
  details: [
    'COMPONENT @host is the machine. `perfopt acknowledge` and `perfopt silence` keep an anomaly quiet.',
    '  --metric NAME     of one metric',
    '  --severity WORD   at least this severe',
    '  --open            only what is not over',
    '  --limit N         at most so many; 100',
    '  --json            everything, as the protocol says it',
    ADDRESS_HELP,
  ],
  options: {
    ...CONFIG_OPTION,
    ...ADDRESS_OPTION,
    metric: { type: 'string' },
    severity: { type: 'string' },
    open: { type: 'boolean' },
    limit: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 1],
  choices: { severity: SEVERITIES },
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const found = await askAgent(given, shell, TuningService.method.listAnomalies, {
      component,
      metric: optionOf(given, 'metric') ?? '',
      severity: optionOf(given, 'severity') ?? '',
      openOnly: hasFlag(given, 'open'),
      limit: limitOf(optionOf(given, 'limit')),
    });
    if (hasFlag(given, 'json')) shell.out(jsonOf(TuningService.method.listAnomalies.output, found));
    else if (found.anomalies.length === 0) shell.err(['no such anomalies', ...warmUpOf(found)].join('\n'));
    else shell.out(describe(found, paint(shell.hasColours)));
    return EXIT.ok;
  },
};

function describe(found: ListAnomaliesResponse, colours: Paint): string {
  const { anomalies, paused } = found;
  const pauses = Object.keys(paused).map((component) => `tuning of ${printable(component)} is paused\n`);
  const ones = anomalies.map((anomaly) => describeOne(anomaly, colours));
  return [...pauses, ...ones, ...warmUpOf(found).map((line) => colours.dim(line))].join('\n');
}

function warmUpOf({ warmingUp }: ListAnomaliesResponse): readonly string[] {
  return Object.entries(warmingUp).map(
    ([component, metrics]) =>
      `${printable(component)}: ${metrics} metrics have little history yet: only what is gross is told of them`,
  );
}

function describeOne(anomaly: Anomaly, colours: Paint): string {
  const { component, metric, state, severity, value, expectedRange, since, end, endReason, incident } = anomaly;
  const sinceMs = since === undefined ? 0 : decodeTimeMs(since);
  const colour = state !== 'open' ? colours.dim : severity === 'low' ? colours.bold : colours.bad;
  const lasted = end === undefined ? '' : ` for ${spanOf(decodeTimeMs(end) - sinceMs)}`;
  const now = value === undefined ? 'no data' : figure(value);
  const range =
    expectedRange === undefined ? '' : `, expected ${figure(expectedRange.low)} to ${figure(expectedRange.high)}`;
  const facts = [
    `since ${instant(sinceMs)}${lasted}`,
    printable(state),
    ...(endReason === '' ? [] : [printable(endReason)]),
  ];
  if (anomaly.acknowledgedBy !== '') facts.push(`seen by ${printable(anomaly.acknowledgedBy)}`);
  const lines = [
    `${colour(severity.padEnd(8))} ${colours.bold(printable(`${component} ${metric}`))}  ${now}${range}`,
    `         ${facts.join('; ')}`,
    `         ${printable(anomaly.explanation)}`,
  ];
  if (incident !== undefined && incident.anomalies > 1) {
    const lead = spanOf(decodeDurationMs(incident.lead));
    const of = `incident ${printable(incident.id)} of ${incident.anomalies} anomalies`;
    lines.push(`         ${of}; ${printable(incident.firstMover)} moved first, ${lead} before the next`);
  }
  return lines.join('\n');
}

function limitOf(text = '0'): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 0 && limit <= 1_000) return limit;
  throw new CommandError(`--limit ${printable(text)}: allowed: a whole number from 1 to 1000`, EXIT.usage);
}
