import { create, toJson } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import {
  TuningService,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callServerStream, isServiceError } from '../rpc/calls.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, type Given, hasFlag, optionOf } from './shell.ts';
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
    let left = countOf(optionOf(given, 'count'));
    await withAgent(given, shell, async (client) => {
      const stream = callServerStream(client, TuningService.method.watchEvents, request);
      const stopListening = shell.onSignal(() => stream.cancel());
      try {
        const events: AsyncIterable<WatchEventsResponse> = stream;
        for await (const event of events) {
          shell.out(isJson ? JSON.stringify(toJson(WatchEventsResponseSchema, event)) : describe(event, colours));
          left -= 1;
          if (left <= 0) break;
        }
      } catch (error) {
        // Ended by us.
        if (!isServiceError(error) || error.code !== status.CANCELLED) throw error;
      } finally {
        stopListening();
        stream.cancel();
      }
    });
    return EXIT.ok;
  },
};

function typesOf({ values }: Given): string[] {
  return Array.isArray(values.type) ? values.type.map(String) : [];
}

function countOf(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new CommandError(`--count ${printable(text)}: allowed: a whole number above 0`, EXIT.usage);
}

/** What a human wants to know of an event first, in this order. */
const TOLD = ['rule', 'strategy', 'trialId', 'error', 'reason', 'explanation', 'metric', 'severity', 'knob', 'value'];

function describe({ time, type, component, data = {} }: WatchEventsResponse, colours: Paint): string {
  const facts = TOLD.flatMap((name) => {
    const value = data[name];
    return typeof value === 'string' || typeof value === 'number' ? [printable(String(value))] : [];
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
