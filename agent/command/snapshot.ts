import type { Client } from '@grpc/grpc-js';
import type { KnobStatus } from '../gen/performance_optimizer/control/v1/knob_status_pb.ts';
import type { SettingRevision } from '../gen/performance_optimizer/control/v1/proposal_pb.ts';
import {
  type ComponentState,
  type GetSnapshotResponse,
  TuningService,
} from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeFigures } from '../rpc/answers_codec.ts';
import { decodeTimeMs, decodeValue } from '../rpc/knob_codec.ts';
import { modeWords, tierWords } from '../rpc/words.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag } from './shell.ts';
import { figure, instant, knobValue, type Paint, paint, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, callAgent, jsonOf, withAgent } from './tuning-client.ts';

/** The last of a component's revisions; all of them are in the JSON. */
const SHOWN_REVISIONS = 3;

export const snapshotCommand: Command = {
  name: 'snapshot',
  synopsis: '[COMPONENT] [--json]',
  summary: 'show components, knobs and open trials of the running agent',
  details: [ADDRESS_HELP, '  --json          everything, as the protocol says it'],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, json: { type: 'boolean' } },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const snapshot = await withAgent(given, shell, (client) => snapshotOf(client, component));
    shell.out(
      hasFlag(given, 'json')
        ? jsonOf(TuningService.method.getSnapshot.output, snapshot)
        : describe(snapshot, paint(shell.hasColours)),
    );
    return EXIT.ok;
  },
};

/** Everything that the agent believes of a component, or of all where the name is empty. */
export function snapshotOf(client: Client, component: string): Promise<GetSnapshotResponse> {
  return callAgent(client, TuningService.method.getSnapshot, { component });
}

function describe(snapshot: GetSnapshotResponse, paint: Paint): string {
  const { averageThinkTimeMs, optimizationScore, adaptationRatePerHour } = decodeFigures(snapshot.figures);
  const figures = [
    ...(averageThinkTimeMs === undefined ? [] : [`average think time ${figure(averageThinkTimeMs)} ms`]),
    `optimization score ${figure(optimizationScore)}`,
    `${figure(adaptationRatePerHour)} changes kept per hour`,
  ];
  const head = [`epoch ${snapshot.epoch}${snapshot.frozen ? paint.bad(', frozen') : ''}`, ...figures].join(', ');
  if (snapshot.components.length === 0) return `${head}\nno component is known yet`;
  return [head, ...snapshot.components.map((component) => describeComponent(component, paint))].join('\n\n');
}

function describeComponent(state: ComponentState, paint: Paint): string {
  const tier = tierWords.decode(state.tier) ?? 'no tier';
  const facts = [tier, state.connected ? 'connected' : 'not connected', ...(state.frozen ? ['frozen'] : [])];
  const rows = state.knobs.map((knob) => [
    printable(knob.spec?.id ?? ''),
    shownValue(knob.desired),
    shownValue(knob.effective),
    modeWords.decode(knob.mode) ?? '',
    knob.pinned ? 'pinned' : '',
    printable(knob.lastError),
  ]);
  const trial = state.openTrial;
  return [
    `${paint.bold(printable(state.component))} ${paint.dim(`(${facts.join(', ')})`)}`,
    ...(rows.length === 0 ? [] : [table([['knob', 'desired', 'effective', 'mode', '', 'last error'], ...rows], paint)]),
    ...state.revisions.slice(-SHOWN_REVISIONS).map(describeRevision),
    ...state.proposals.map(
      ({ proposalId, strategy, setting, reason, approvedBy }) =>
        `proposal ${printable(proposalId)} (${printable(strategy)}) ${approvedBy === '' ? 'waits for approval' : 'waits for its turn'}: ${settingOf(setting)}: ${printable(reason)}`,
    ),
    ...(trial === undefined
      ? []
      : [
          `trial ${printable(trial.trialId)} (${printable(trial.strategy)}), ${trial.blocks} blocks since ${
            trial.startTime === undefined ? '?' : instant(decodeTimeMs(trial.startTime))
          }: ${trial.changes.map(({ knob, from, to }) => `${printable(knob)} ${shownValue(from)} → ${shownValue(to)}`).join(', ')}`,
        ]),
  ].join('\n');
}

function describeRevision({ revision, time, setting, decisionId }: SettingRevision): string {
  const since = time === undefined ? '?' : instant(decodeTimeMs(time));
  const by = decisionId === '' ? '' : `, by ${printable(decisionId)}`;
  return `revision ${revision} since ${since}${by}: ${settingOf(setting)}`;
}

export function settingOf(setting: SettingRevision['setting']): string {
  return Object.entries(setting)
    .map(([knob, value]) => `${printable(knob)} ${shownValue(value)}`)
    .join(', ');
}

/** `?` where nothing is known. */
export function shownValue(value: KnobStatus['desired']): string {
  const decoded = decodeValue(value);
  return decoded === undefined ? '?' : knobValue(decoded);
}
