import { create, toJson } from '@bufbuild/protobuf';
import {
  type TappedPoint,
  TappedPointSchema,
  TapRequestSchema,
} from '../gen/performance_optimizer/control/v1/tap_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callServerStream } from '../rpc/calls.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, type Given, hasFlag, optionOf } from './shell.ts';
import { countOf, follow } from './stream.ts';
import { figure, instant, type Paint, paint, printable } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, withAgent } from './tuning-client.ts';

export const tapCommand: Command = {
  name: 'tap',
  synopsis: '[METRIC] [--component NAME] [--where KEY=VALUE]... [--count N] [--json]',
  summary: 'show data points as the agent receives them',
  details: [
    'METRIC, NAME and VALUE may have * for any run of characters. Behind the arrow stands what the agent takes a point for.',
    '  --component NAME    only of this component',
    '  --where KEY=VALUE   only with this attribute, of the point or its resource; may be given several times',
    '  --count N           end after so many points; otherwise it goes on until it is interrupted',
    '  --json              a line of JSON a point',
    ADDRESS_HELP,
    'A terminal that is too slow, or more than 5,000 points a second: some are left out, and how many is said on standard error.',
  ],
  options: {
    ...CONFIG_OPTION,
    ...ADDRESS_OPTION,
    component: { type: 'string' },
    where: { type: 'string', multiple: true },
    count: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 1],
  async run(given, shell) {
    const [metric = ''] = given.positionals;
    const component = optionOf(given, 'component') ?? '';
    const request = create(TapRequestSchema, { metric, component, attributes: attributesOf(given) });
    const isJson = hasFlag(given, 'json');
    const colours = paint(shell.hasColours);
    let left = countOf(given);
    await withAgent(given, shell, (client) =>
      follow(callServerStream(client, TuningService.method.tap, request), shell, ({ points, missed }) => {
        for (const point of points.slice(0, left)) {
          shell.out(isJson ? JSON.stringify(toJson(TappedPointSchema, point)) : describe(point, colours));
        }
        if (missed > 0n) shell.err(`${missed} more were left out`);
        left -= points.length;
        return left > 0 ? 'more' : 'enough';
      }),
    );
    return EXIT.ok;
  },
};

function attributesOf({ values }: Given): Record<string, string> {
  const given = Array.isArray(values.where) ? values.where.map(String) : [];
  return Object.fromEntries(
    given.map((pair) => {
      const at = pair.indexOf('=');
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)];
      throw new CommandError(`--where ${printable(pair)}: allowed: KEY=VALUE, such as http.route=/v1/*`, EXIT.usage);
    }),
  );
}

function describe(point: TappedPoint, colours: Paint): string {
  const { time, source, component, metric, unit, attributes, signal } = point;
  const labels = Object.entries(attributes).map(([key, value]) => `${printable(key)}=${printable(value)}`);
  return [
    colours.dim(time === undefined ? '?' : instant(decodeTimeMs(time))),
    source,
    printable(component) || '-',
    colours.bold(printable(metric)),
    ...(labels.length === 0 ? [] : [`{${labels.join(', ')}}`]),
    `${figureOf(point)}${unit === '' || unit === '1' ? '' : ` ${printable(unit)}`}`,
    signal === '' ? colours.dim('→ nothing') : `→ ${signal}`,
  ].join(' ');
}

function figureOf({ value, distribution, kind, temporality }: TappedPoint): string {
  const over = temporality === 'cumulative' && kind !== 'summary' ? 'in all ' : '';
  if (value !== undefined) return kind === 'sum' ? `${over}${figure(value)}` : figure(value);
  if (distribution === undefined) return 'no value';
  const { count, sum, min, max } = distribution;
  const mean = sum === undefined || count === 0 ? '' : `, mean ${figure(sum / count)}`;
  const range = min === undefined || max === undefined ? '' : `, ${figure(min)} to ${figure(max)}`;
  return `${over}${figure(count)} values${mean}${range}`;
}
