import type { Level } from '../core/profile/level_window.ts';
import type { PerformanceProfile } from '../core/profile/performance_profile.ts';
import { LATENCY_SIGNALS, RESOURCES } from '../core/signals.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeProfile } from '../rpc/profile_codec.ts';
import { measured } from './analytics.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag } from './shell.ts';
import { instant, type Paint, paint, percent, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

export const profileCommand: Command = {
  name: 'profile',
  synopsis: 'COMPONENT [--json]',
  summary: 'show what a component did lately: response times, throughput, resources',
  details: [
    '@host instead of a component shows the machine. What was not measured is left out.',
    ADDRESS_HELP,
    '  --json          everything, as the protocol says it',
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [1, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const response = await askAgent(given, shell, TuningService.method.getProfile, { component });
    if (response.profile === undefined) throw new CommandError('the agent has answered without a profile');
    shell.out(
      hasFlag(given, 'json')
        ? jsonOf(TuningService.method.getProfile.output, response)
        : describe(decodeProfile(response.profile), paint(shell.hasColours)),
    );
    return EXIT.ok;
  },
};

function describe(profile: PerformanceProfile, colours: Paint): string {
  const { metrics, resources, optimization } = profile;
  const { throughput, reliability, inputTokens, outputTokens } = metrics;
  const latencies = LATENCY_SIGNALS.flatMap((signal) => {
    const figures = metrics[signal];
    if (figures === undefined) return [];
    const { current, average, p95, p99, trend } = figures;
    return [[`${signal} (ms)`, ...[current, average, p95, p99, trend].map((value) => measured(value))]];
  });
  const rates = Object.entries({ throughput, inputTokens, outputTokens }).flatMap(([name, figures]) =>
    figures === undefined
      ? []
      : [[`${name} (1/s)`, ...[figures.current, figures.average, figures.peak, figures.trend].map((v) => measured(v))]],
  );
  const shares =
    reliability === undefined
      ? []
      : [
          [
            'reliability',
            ...[reliability.current, reliability.average, undefined, reliability.trend].map((v) => measured(v)),
          ],
        ];
  const used = RESOURCES.flatMap((resource) => {
    const usage = resources[resource];
    if (usage === undefined) return [];
    const unit = resource === 'cpu' || resource === 'gpu' ? '%' : 'MiB';
    const figures = [usage.usage, usage.average, usage.peak, usage.efficiency, usage.utilizationRatio];
    return [[`${resource} (${unit})`, ...figures.map((value) => measured(value)), usage.scope]];
  });
  const { queueDepth, inFlight, cacheUsage } = metrics;
  const levels = Object.entries({
    ...{ queueDepth, inFlight, 'cacheUsage (share)': cacheUsage },
    ...labelled(profile.stalls, () => 'share of time'),
    ...labelled(profile.disks, (signal) => (signal === 'diskWait' ? 'ms' : 'share')),
  }).flatMap(([name, level]) =>
    level === undefined ? [] : [[name, ...[level.current, level.average, level.peak].map((value) => measured(value))]],
  );
  const sections = [
    latencies.length > 0 && table([['', 'current', 'average', 'p95', 'p99', 'trend'], ...latencies], colours),
    rates.length + shares.length > 0 &&
      table([['', 'current', 'average', 'peak', 'trend'], ...rates, ...shares], colours),
    levels.length > 0 && table([['', 'current', 'average', 'peak'], ...levels], colours),
    used.length > 0 && table([['', 'usage', 'average', 'peak', 'efficiency', 'utilisation', 'of'], ...used], colours),
  ].filter((section) => section !== false);
  const head = `${colours.bold(printable(profile.component))} ${colours.dim(`over ${profile.windowMs / 1_000} s, ${instant(profile.atMs)}`)}`;
  if (sections.length === 0) return `${head}\nnothing was measured in this time`;
  return [head, ...sections, describeTuning(optimization)].join('\n\n');
}

function labelled<Signal extends string>(
  levels: { readonly [signal in Signal]?: Level } = {},
  unit: (signal: Signal) => string,
): Record<string, Level | undefined> {
  const signals = Object.keys(levels) as Signal[]; // Of a group whose keys are signals and nothing else.
  return Object.fromEntries(signals.map((signal) => [`${signal} (${unit(signal)})`, levels[signal]]));
}

function describeTuning({ lastOptimized, optimizations, lastImprovement }: PerformanceProfile['optimization']): string {
  if (optimizations === 0) return 'no change was kept yet';
  const gain = lastImprovement === undefined ? '' : `: ${percent(lastImprovement)} better by its trial`;
  return `${optimizations} ${optimizations === 1 ? 'change' : 'changes'} kept, the last at ${instant(lastOptimized)}${gain}`;
}
