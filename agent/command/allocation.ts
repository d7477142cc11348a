import type { OptimizeResourceAllocationResponse } from '../gen/performance_optimizer/control/v1/resources_pb.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag } from './shell.ts';
import { figure, type Paint, paint, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, askAgent, jsonOf } from './tuning-client.ts';

const UNIT_WORDS: Readonly<Record<string, string>> = { '{cpu}': 'cores', MiBy: 'MiB', '%': '%' };

export const allocationCommand: Command = {
  name: 'allocation',
  synopsis: '[COMPONENT] [--json]',
  summary: 'show who should get how much CPU, memory and GPU, what is short, and why',
  details: [
    'Weighted max-min fairness by tier and priority, computed now from what is measured. Nothing is changed.',
    '  --json          everything, as the protocol says it',
    ADDRESS_HELP,
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const answer = await askAgent(given, shell, TuningService.method.optimizeResourceAllocation, { component });
    shell.out(
      hasFlag(given, 'json')
        ? jsonOf(TuningService.method.optimizeResourceAllocation.output, answer)
        : describe(answer, paint(shell.hasColours)),
    );
    return EXIT.ok;
  },
};

function describe(answer: OptimizeResourceAllocationResponse, paint: Paint): string {
  const { pools, grants, bottlenecks, applied } = answer;
  const shown = [
    ...pools.map((pool) => {
      const unit = unitOf(pool.unit);
      const rows = grants
        .filter(({ resource }) => resource === pool.resource)
        .map((grant) => [
          printable(grant.component),
          amount(grant.granted, unit),
          grant.demand === undefined ? '?' : amount(grant.demand, unit),
          grant.used === undefined ? '?' : amount(grant.used, unit),
          figure(grant.weight),
          printable(grant.reason),
        ]);
      const head = `${paint.bold(pool.resource)} ${amount(pool.capacity, unit)} to give, ${amount(pool.free, unit)} free`;
      return [
        `${head} ${paint.dim(`(${printable(pool.reason).replaceAll(pool.unit, unit)})`)}`,
        table([['component', 'gets', 'asks', 'uses', 'weight', 'why'], ...rows], paint),
      ].join('\n');
    }),
    ...(bottlenecks.length === 0
      ? []
      : [
          [
            paint.bold('what is short, worst first'),
            ...bottlenecks.map(({ reason, score }) => `  ${figure(score)}  ${paint.bad(printable(reason))}`),
          ].join('\n'),
        ]),
    ...(applied.length === 0
      ? []
      : [
          table(
            [
              ['component', 'cgroup file', 'set to', 'before'],
              ...applied.map(({ component, file, value, before }) => [component, file, value, before].map(printable)),
            ],
            paint,
          ),
        ]),
  ];
  if (shown.length > 0) return shown.join('\n\n');
  return 'nothing to share out yet: neither components nor the size of the machine are known';
}

function unitOf(unit: string): string {
  return UNIT_WORDS[unit] ?? printable(unit);
}

function amount(value: number, unit: string): string {
  return `${figure(value)} ${unit}`;
}
