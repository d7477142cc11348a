import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { parseDuration } from '../config/kinds.ts';
import { WATCHED_SIGNALS } from '../core/profile/watched_signal.ts';
import type {
  ComponentCapacity,
  ForecastStep,
  GetForecastResponse,
  LimitForecast,
  MetricCapacity,
} from '../gen/performance_optimizer/control/v1/insight_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeDurationMs, decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, type Given, hasFlag, optionOf } from './shell.ts';
import { figure, instant, type Paint, paint, percent, printable, spanOf, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

const MOST_ROWS = 48;

export const forecastCommand: Command = {
  name: 'forecast',
  synopsis: 'COMPONENT METRIC [--horizon 24h] [--json]',
  summary: 'show what a metric will be, with an interval, and when it meets its limit',
  details: [
    'METRIC is one of those that the answer to a wrong one lists, such as throughputPerSecond or memoryMiB.',
    '  --horizon TIME   how far ahead, "30m", "24h", "7d"; 24h. Up to 2h in steps of five minutes, then of an hour',
    '  --json           everything, as the protocol says it',
    ADDRESS_HELP,
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, horizon: { type: 'string' }, json: { type: 'boolean' } },
  arguments: [2, 2],
  words: WATCHED_SIGNALS,
  async run(given, shell) {
    const [component = '', metric = ''] = given.positionals;
    const found = await askAgent(given, shell, TuningService.method.getForecast, {
      component,
      metric,
      ...horizonOf(given),
    });
    shell.out(
      hasFlag(given, 'json')
        ? jsonOf(TuningService.method.getForecast.output, found)
        : describeForecast(metric, found, paint(shell.hasColours)),
    );
    return EXIT.ok;
  },
};

export const capacityCommand: Command = {
  name: 'capacity',
  synopsis: '[COMPONENT] [--horizon 48h] [--json]',
  summary: 'show how long what there is suffices, and at which load the latency objective breaks',
  details: [
    'COMPONENT @host is the machine.',
    '  --horizon TIME   how far ahead, "24h", "7d"; 48h',
    '  --json           everything, as the protocol says it',
    ADDRESS_HELP,
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, horizon: { type: 'string' }, json: { type: 'boolean' } },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const found = await askAgent(given, shell, TuningService.method.getCapacityReport, {
      component,
      ...horizonOf(given),
    });
    const shown = found.components.filter(({ metrics }) => metrics.length > 0);
    if (hasFlag(given, 'json')) shell.out(jsonOf(TuningService.method.getCapacityReport.output, found));
    else if (shown.length === 0) shell.err('nothing was measured yet');
    else shell.out(shown.map((one) => describeCapacity(one, paint(shell.hasColours))).join('\n\n'));
    return EXIT.ok;
  },
};

function describeForecast(metric: string, forecast: GetForecastResponse, colours: Paint): string {
  const { target, steps, limit, nominalCoverage, measuredCoverage, coverageSamples, samples, step } = forecast;
  const every = Math.max(1, Math.ceil(steps.length / MOST_ROWS));
  const shown = steps.filter((_, i) => (i + 1) % every === 0);
  const held =
    measuredCoverage === undefined
      ? 'none has met its value yet'
      : `${percentOf(measuredCoverage)} of ${figure(coverageSamples)} so far did`;
  return [
    `${colours.bold(printable(metric))} ${target === undefined ? '' : `${figure(target.value)} ${intervalOf(target)}`}`,
    `${percentOf(nominalCoverage)} of values should lie in their interval; ${held}`,
    `${samples} steps of ${spanOf(decodeDurationMs(step))} known${limit === undefined ? '' : `; ${limitOf(limit)}`}`,
    '',
    table(
      [['time', 'forecast', 'interval'], ...shown.map((one) => [timeOf(one), figure(one.value), intervalOf(one)])],
      colours,
    ),
  ].join('\n');
}

function describeCapacity({ component, metrics, load }: ComponentCapacity, colours: Paint): string {
  const lines = [
    colours.bold(printable(component)),
    table(
      [['metric', 'now', 'forecast', 'interval', 'free now', 'free at worst', 'limit'], ...metrics.map(rowOf)],
      colours,
    ),
  ];
  if (load !== undefined) {
    const least = load.extrapolated ? 'at least ' : '';
    const range = load.interval === undefined ? '' : ` (${figure(load.interval.low)} to ${figure(load.interval.high)})`;
    const peak =
      load.expectedPeakPerSecond === undefined
        ? ''
        : `; the expected peak is ${figure(load.expectedPeakPerSecond)}` +
          (load.headRoomRatio === undefined ? '' : `, head room ${percent(load.headRoomRatio)}`);
    lines.push(
      `the latency objective holds up to ${least}${figure(load.throughputPerSecond)} requests/s${range}${peak}`,
    );
  }
  return lines.join('\n');
}

function rowOf({ metric, unit, now, forecast, limit, headRoomRatio, headRoomRatioAtWorst }: MetricCapacity): string[] {
  const ratio = (value: number | undefined): string => (value === undefined ? '' : percentOf(value));
  return [
    printable(metric),
    unit === '1' || unit.startsWith('{') ? figure(now) : `${figure(now)} ${printable(unit)}`,
    forecast === undefined ? '' : figure(forecast.value),
    forecast === undefined ? '' : intervalOf(forecast),
    ratio(headRoomRatio),
    ratio(headRoomRatioAtWorst),
    limit === undefined ? '' : forecast === undefined ? `limit ${figure(limit.value)}` : limitOf(limit),
  ];
}

function limitOf({ value, soonest, expected, latest }: LimitForecast): string {
  if (soonest === undefined) return `limit ${figure(value)}: not within the horizon`;
  const at = expected === undefined ? 'perhaps' : `in about ${spanOf(decodeDurationMs(expected))}`;
  const until = latest === undefined ? 'or not at all' : `and ${spanOf(decodeDurationMs(latest))} at the latest`;
  return `limit ${figure(value)} ${at}, ${spanOf(decodeDurationMs(soonest))} at the soonest ${until}`;
}

function timeOf({ time }: ForecastStep): string {
  return time === undefined ? '?' : instant(decodeTimeMs(time));
}

function intervalOf({ low, high }: ForecastStep): string {
  return `[${figure(low)}, ${figure(high)}]`;
}

/** Without a sign: a share is no change. */
function percentOf(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

function horizonOf(given: Given) {
  const text = optionOf(given, 'horizon');
  if (text === undefined) return {};
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return { horizon: durationFromMs(ms) };
  throw new CommandError(`--horizon ${printable(text)}: allowed: "30m", "24h", "7d"`, EXIT.usage);
}
