import { create, toJson } from '@bufbuild/protobuf';
import {
  TuningService,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callServerStream } from '../rpc/calls.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { measured } from './analytics.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, type Given, hasFlag } from './shell.ts';
import { countOf, follow } from './stream.ts';
import { instant, type Paint, paint, percent, printable } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, withAgent } from './tuning-client.ts';

export const watchCommand: Command = {
  name: 'watch',
  synopsis: '[COMPONENT] [--type TYPE]... [--count N] [--json]',
  summary: 'show events as they happen',
  details: [
    '  --type TYPE     only this type (optimization_applied, trial_started, frozen, …); may be given several times',
    '  --count N       end after so many; otherwise it goes on until it is interrupted',
    '  --json          a line of JSON an event',
    ADDRESS_HELP,
  ],
  options: {
    ...CONFIG_OPTION,
    ...ADDRESS_OPTION,
    type: { type: 'string', multiple: true },
    count: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const request = create(WatchEventsRequestSchema, { component, types: typesOf(given) });
    const isJson = hasFlag(given, 'json');
    const colours = paint(shell.hasColours);
    let left = countOf(given);
    await withAgent(given, shell, (client) =>
      follow(callServerStream(client, TuningService.method.watchEvents, request), shell, (event) => {
        shell.out(isJson ? JSON.stringify(toJson(WatchEventsResponseSchema, event)) : describe(event, colours));
        left -= 1;
        return left > 0 ? 'more' : 'enough';
      }),
    );
    return EXIT.ok;
  },
};

function typesOf({ values }: Given): string[] {
  return Array.isArray(values.type) ? values.type.map(String) : [];
}

/** What a human wants to know of an event first, in this order. */
const TOLD = ['rule', 'strategy', 'trialId', 'error', 'reason', 'explanation', 'metric', 'severity', 'knob', 'value'];

function describe({ time, type, component, data = {} }: WatchEventsResponse, colours: Paint): string {
  const facts = TOLD.flatMap((name) => {
    const value = data[name];
    if (typeof value === 'number') return [measured(value)];
    return typeof value === 'string' ? [printable(value)] : [];
  });
  const gain = improvementOf(data.result);
  const what = type === 'optimization_applied' ? colours.good(type) : colours.bold(printable(type));
  const when = colours.dim(time === undefined ? '?' : instant(decodeTimeMs(time)));
  const told = [...facts, ...(gain === undefined ? [] : [`${percent(gain)} better`])].join(' · ');
  return [when, printable(component), what, told].join('  ').trimEnd();
}

function improvementOf(result: unknown): number | undefined {
  if (typeof result !== 'object' || result === null || !('results' in result)) return undefined;
  const { results } = result;
  if (typeof results !== 'object' || results === null || !('improvement' in results)) return undefined;
  return typeof results.improvement === 'number' ? results.improvement : undefined;
}
