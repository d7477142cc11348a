import type { Recommendation } from '../gen/performance_optimizer/control/v1/recommendation_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag } from './shell.ts';
import { instant, type Paint, paint, percent, printable } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

export const recommendationsCommand: Command = {
  name: 'recommendations',
  synopsis: '[COMPONENT] [--json]',
  summary: 'show what a human should change, and exactly how',
  details: [
    'From strategies in mode recommend or approve, from what is short, from forecasts, and from bad health.',
    'What is expected of a change comes from comparable trials; without any, nothing is said.',
    '  --json          everything, as the protocol says it',
    ADDRESS_HELP,
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const answer = await askAgent(given, shell, TuningService.method.listRecommendations, { component });
    if (hasFlag(given, 'json')) {
      shell.out(jsonOf(TuningService.method.listRecommendations.output, answer));
    } else if (answer.recommendations.length === 0) {
      shell.out('nothing is recommended');
    } else {
      shell.out(answer.recommendations.map((one) => describe(one, paint(shell.hasColours))).join('\n\n'));
    }
    return EXIT.ok;
  },
};

function describe(recommendation: Recommendation, paint: Paint): string {
  const { id, component, source, optimization, reason, steps, since, expected, confidence } = recommendation;
  const facts = [id, source, ...(since === undefined ? [] : [`since ${instant(decodeTimeMs(since))}`])];
  const gain =
    expected === undefined
      ? []
      : [
          `  expected: objective ${percent(-expected.estimate)} (${percent(-expected.high)} to ${percent(-expected.low)}, ` +
            `95 % interval of ${expected.samples} comparable trials, ${expected.kept} kept)` +
            (confidence === undefined ? '' : `; confidence ${confidence.toFixed(2)}`),
        ];
  return [
    `${paint.bold(`${printable(component)}: ${printable(optimization)}`)} ${paint.dim(`(${facts.map(printable).join(', ')})`)}`,
    `  ${printable(reason)}`,
    ...gain,
    ...steps.map(({ kind, text }) => stepLines(printable(kind), text)),
  ].join('\n');
}

/** A manifest keeps its lines, and nothing in them steers the terminal. */
function stepLines(kind: string, text: string): string {
  const [first = '', ...rest] = text.split('\n').map(printable);
  if (rest.length === 0) return `  ${kind.padEnd(12)} ${first}`;
  return [`  ${kind}`, ...[first, ...rest].map((line) => `    ${line}`)].join('\n');
}
