import { toJson } from '@bufbuild/protobuf';
import {
  type ObjectiveEffect,
  type ProvenSetting,
  ProvenSettingSchema,
} from '../gen/performance_optimizer/control/v1/proven_setting_pb.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag } from './shell.ts';
import { settingOf, snapshotOf } from './snapshot.ts';
import { instant, type Paint, paint, percent, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, withAgent } from './tuning-client.ts';

export const paretoCommand: Command = {
  name: 'pareto',
  synopsis: 'COMPONENT [--json]',
  summary: 'list proven settings that trade one objective for another; `perfopt choose` takes one',
  details: [
    'Effects are against the baselines, lower is better, with the interval of their proofs.',
    ADDRESS_HELP,
    '  --json          a list, as the protocol says it',
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [1, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const { components } = await withAgent(given, shell, (client) => snapshotOf(client, component));
    const [state] = components;
    if (state === undefined)
      throw new CommandError(`no component ${printable(component)}; \`perfopt snapshot\` lists them`);
    if (hasFlag(given, 'json')) {
      const points = state.proven.map((point) => toJson(ProvenSettingSchema, point));
      shell.out(JSON.stringify(points, null, 2));
    } else if (state.proven.length === 0) shell.err('nothing was proven yet');
    else shell.out(describe(state.proven, paint(shell.hasColours)));
    return EXIT.ok;
  },
};

function describe(points: readonly ProvenSetting[], paint: Paint): string {
  const names = [...new Set(points.flatMap(({ objectives }) => Object.keys(objectives)))].sort();
  const rows = points.map(({ point, time, setting, objectives }) => [
    printable(point),
    time === undefined ? '' : instant(decodeTimeMs(time)),
    ...names.map((name) => effectOf(objectives[name])),
    settingOf(setting),
  ]);
  return table([['point', 'proven', ...names.map(printable), 'setting'], ...rows], paint);
}

function effectOf(effect: ObjectiveEffect | undefined): string {
  return effect === undefined ? '' : `${percent(effect.estimate)} [${percent(effect.low)}, ${percent(effect.high)}]`;
}
