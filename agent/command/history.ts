import { create, toJson } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { parseDuration } from '../config/kinds.ts';
import { HOUR_MS, MINUTE_MS } from '../core/history/rollup.ts';
import { HISTORY_SIGNALS } from '../core/history/signal.ts';
import {
  type HistoryStep,
  type QueryHistoryResponse,
  QueryHistoryResponseSchema,
} from '../gen/performance_optimizer/control/v1/history_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeTimeMs, encodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag, optionOf } from './shell.ts';
import { figure, instant, paint, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, callAgent, withAgent } from './tuning-client.ts';

const INTERVAL = 'interval';
const STEPS: Readonly<Record<string, number>> = { [INTERVAL]: 1, '1m': MINUTE_MS, '1h': HOUR_MS };

export const historyCommand: Command = {
  name: 'history',
  synopsis: 'COMPONENT SIGNAL [--since 1h] [--step interval|1m|1h] [--json]',
  summary: 'show what a signal did, minute by minute or hour by hour',
  details: [
    `SIGNAL is one of ${HISTORY_SIGNALS.join(', ')}.`,
    '  --since TIME    how far back, "30m", "24h", "7d"; 1h, and 24h where the step is an hour',
    '  --step STEP     1m or 1h; or interval: the latest ones of monitoring.interval, which are in memory; 1m',
    '  --json          a list of rows with count, sum, min, max, percentiles and the sketch',
    ADDRESS_HELP,
  ],
  options: {
    ...CONFIG_OPTION,
    ...ADDRESS_OPTION,
    since: { type: 'string' },
    step: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [2, 2],
  choices: { step: Object.keys(STEPS) },
  async run(given, shell) {
    const [component = '', signal = ''] = given.positionals;
    const step = optionOf(given, 'step');
    const isFull = step === INTERVAL;
    const stepMs = stepOf(step);
    const sinceMs = Date.now() - agoOf(optionOf(given, 'since') ?? (stepMs === HOUR_MS ? '24h' : '1h'));
    const pages = await withAgent(given, shell, async (client) => {
      const found: QueryHistoryResponse[] = [];
      for (let from: QueryHistoryResponse['next'] = encodeTimeMs(sinceMs - (sinceMs % stepMs)); from !== undefined; ) {
        const range = isFull ? { fullResolution: true } : { step: durationFromMs(stepMs) };
        const request = { component, signal, from, ...range };
        const page: QueryHistoryResponse = await callAgent(client, TuningService.method.queryHistory, request);
        found.push(page);
        from = page.next;
      }
      return found;
    });
    const steps = pages.flatMap((page) => page.steps);
    const unit = pages[0]?.unit ?? '1';
    if (hasFlag(given, 'json')) {
      shell.out(
        JSON.stringify(toJson(QueryHistoryResponseSchema, create(QueryHistoryResponseSchema, { unit, steps }))),
      );
    } else if (steps.length === 0) shell.err('nothing was measured in that time');
    else shell.out(table([headingOf(unit), ...steps.map(rowOf)], paint(shell.hasColours)));
    return EXIT.ok;
  },
};

function headingOf(unit: string): string[] {
  return ['time', unit === '1' ? 'mean' : `mean (${unit})`, 'min', 'p50', 'p95', 'p99', 'max', 'count'];
}

function rowOf({ start, count, sum, min, max, p50, p95, p99 }: HistoryStep): string[] {
  const shown = (value: number | undefined): string => (value === undefined ? '' : figure(value));
  const time = start === undefined ? '?' : instant(decodeTimeMs(start));
  return [time, figure(sum / count), ...[min, p50, p95, p99, max].map(shown), figure(count)];
}

function stepOf(text = '1m'): number {
  const ms = STEPS[text];
  if (ms !== undefined) return ms;
  throw new CommandError(`--step ${printable(text)}: allowed: ${Object.keys(STEPS).join(', ')}`, EXIT.usage);
}

function agoOf(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  throw new CommandError(`--since ${printable(text)}: allowed: "30m", "24h", "7d"`, EXIT.usage);
}
