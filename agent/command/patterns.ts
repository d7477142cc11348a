import { PATTERN_TYPES } from '../core/pattern/pattern.ts';
import type { Pattern } from '../gen/performance_optimizer/control/v1/insight_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag, optionOf } from './shell.ts';
import { figure, instant, paint, percent, printable, spanOf, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

export const patternsCommand: Command = {
  name: 'patterns',
  synopsis: '[COMPONENT] [--metric NAME] [--type TYPE] [--json]',
  summary: 'list what is lasting in the metrics: trends, cycles, shifts, leaks, what follows what',
  details: [
    'COMPONENT @host is the machine.',
    '  --metric NAME   of one metric',
    `  --type TYPE     one of ${PATTERN_TYPES.join(', ')}`,
    '  --json          everything, as the protocol says it',
    ADDRESS_HELP,
  ],
  options: {
    ...CONFIG_OPTION,
    ...ADDRESS_OPTION,
    metric: { type: 'string' },
    type: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 1],
  choices: { type: PATTERN_TYPES },
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const found = await askAgent(given, shell, TuningService.method.listPatterns, {
      component,
      metric: optionOf(given, 'metric') ?? '',
      type: optionOf(given, 'type') ?? '',
    });
    if (hasFlag(given, 'json')) shell.out(jsonOf(TuningService.method.listPatterns.output, found));
    else if (found.patterns.length === 0) shell.err('no such patterns; six hours of history show most of them');
    else shell.out(table([HEADING, ...found.patterns.map(rowOf)], paint(shell.hasColours)));
    return EXIT.ok;
  },
};

const HEADING = ['component', 'metric', 'pattern', 'confidence', 'impact', 'since', 'evidence'];

function rowOf({ component, metric, type, confidence, impact, since, evidence, cause }: Pattern): string[] {
  return [
    printable(component),
    printable(metric),
    cause === '' ? printable(type) : `${printable(type)} on ${printable(cause)}`,
    `${(Math.floor(confidence * 1e4) / 1e2).toFixed(2)} %`,
    impact === undefined ? '' : percent(impact),
    since === undefined ? '?' : instant(decodeTimeMs(since)),
    Object.entries(evidence).map(evidenceOf).join(', '),
  ];
}

/** Times are spelt out: `periodMs 86400000` is a day. */
function evidenceOf([name, value]: readonly [string, number]): string {
  return name.endsWith('Ms') && Number.isFinite(value)
    ? `${printable(name.slice(0, -2))} ${spanOf(value)}`
    : `${printable(name)} ${figure(value)}`;
}
