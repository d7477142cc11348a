import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@grpc/grpc-js';
import { parseDuration } from '../config/kinds.ts';
import { KNOB_MODES, type KnobMode, type KnobValue } from '../core/model.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeSpec, encodeValue } from '../rpc/knob_codec.ts';
import { whyNotTunable } from '../rpc/knob_domain.ts';
import { modeWords } from '../rpc/words.ts';
import { CHANGE_HELP, CHANGE_OPTIONS, isDryRun, mustBeMeant } from './consent.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, type Given, hasFlag, optionOf } from './shell.ts';
import { snapshotOf } from './snapshot.ts';
import { printable } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, callAgent, operatorName, withAgent } from './tuning-client.ts';

const { method } = TuningService;
type Answer = Promise<Answered>;

/** What goes with every request: who asks, and whether it is only a question. */
interface Asker {
  readonly by: string;
  readonly validateOnly: boolean;
}

interface Answered {
  readonly message: string;
  readonly proposalId?: string;
  readonly decisionId?: string;
}

interface Verb {
  readonly name: string;
  readonly synopsis: string;
  readonly summary: string;
  readonly arguments: readonly [number, number];
  readonly words?: Command['words'];
  /** Said before it is done, and asked whether it is meant; nothing where it does no harm. */
  danger?(words: readonly string[]): string | undefined;
  ask(client: Client, words: readonly string[], asker: Asker, given: Given): Answer;
}

/** The commands of a human's hand on the running agent. */
const VERBS: readonly Verb[] = [
  {
    name: 'approve',
    synopsis: 'PROPOSAL_ID',
    summary: 'let a proposal go ahead',
    arguments: [1, 1],
    ask: (client, [proposalId = ''], asker) => callAgent(client, method.approve, { proposalId, ...asker }),
  },
  {
    name: 'reject',
    synopsis: 'PROPOSAL_ID --reason TEXT',
    summary: 'decline a proposal',
    arguments: [1, 1],
    ask: (client, [proposalId = ''], asker, given) =>
      callAgent(client, method.reject, { proposalId, reason: reasonOf(given), ...asker }),
  },
  {
    name: 'propose',
    synopsis: 'COMPONENT KNOB=VALUE… --reason TEXT',
    summary: 'have values tried and proven, as far as the modes of the knobs let it',
    arguments: [2, 257],
    ask: async (client, [component = '', ...assignments], asker, given) => {
      const changes = await Promise.all(assignments.map((text) => proposed(client, component, text)));
      return callAgent(client, method.propose, { component, changes, reason: reasonOf(given), ...asker });
    },
  },
  {
    name: 'rollback',
    synopsis: 'COMPONENT [REVISION | DECISION_ID]',
    summary: 'restore an earlier setting, by default the one before; `perfopt snapshot` lists them',
    arguments: [1, 2],
    danger: ([component = '', to]) =>
      `${printable(component)} goes back to ${to === undefined ? 'the setting before the present one' : printable(to)}`,
    ask: (client, [component = '', to = '0'], asker) => {
      const isRevision = /^\d{1,15}$/.test(to);
      const target = isRevision ? { toRevision: BigInt(to) } : { toDecision: to };
      return callAgent(client, method.rollback, { component, ...target, ...asker });
    },
  },
  {
    name: 'choose',
    synopsis: 'COMPONENT POINT',
    summary: 'put a proven setting in force; `perfopt pareto` lists them',
    arguments: [2, 2],
    danger: ([component = '', point = '']) =>
      `${printable(component)} takes over the proven setting ${printable(point)}, as your own choice`,
    ask: (client, [component = '', point = ''], asker) =>
      callAgent(client, method.choose, { component, point, ...asker }),
  },
  {
    name: 'mode',
    synopsis: `COMPONENT [KNOB] ${KNOB_MODES.join('|')}`,
    summary: 'set what the tuner may do with a knob, or with all knobs of a component',
    arguments: [2, 3],
    words: KNOB_MODES,
    ask: (client, words, asker) => {
      const [component = '', knob = ''] = words.length === 3 ? words : words.slice(0, 1);
      const mode = modeWords.encode(modeOf(words.at(-1) ?? ''));
      return callAgent(client, method.setMode, { component, knob, mode, ...asker });
    },
  },
  {
    name: 'pin',
    synopsis: 'COMPONENT KNOB [VALUE]',
    summary: 'keep a knob where it is, or at a value',
    arguments: [2, 3],
    ask: async (client, [component = '', knob = '', text], asker) => {
      const value = text === undefined ? {} : { value: await wireValue(client, component, knob, text) };
      return callAgent(client, method.pin, { component, knob, ...value, ...asker });
    },
  },
  {
    name: 'unpin',
    synopsis: 'COMPONENT KNOB',
    summary: 'let the tuner move a knob again',
    arguments: [2, 2],
    danger: ([component = '', knob = '']) => `the tuner may move ${printable(knob)} of ${printable(component)} again`,
    ask: (client, [component = '', knob = ''], asker) => callAgent(client, method.unpin, { component, knob, ...asker }),
  },
  {
    name: 'acknowledge',
    synopsis: 'COMPONENT METRIC',
    summary: 'say that an open anomaly was seen: no further word of it until it is over',
    arguments: [2, 2],
    ask: (client, [component = '', metric = ''], asker) =>
      callAgent(client, method.acknowledgeAnomaly, { component, metric, ...asker }),
  },
  {
    name: 'silence',
    synopsis: 'COMPONENT [METRIC] 2h',
    summary: 'no word of anomalies for a while, nor a pause in tuning because of them; 0s ends it',
    arguments: [2, 3],
    ask: (client, words, asker) => {
      const [component = '', metric = ''] = words.length === 3 ? words : words.slice(0, 1);
      return callAgent(client, method.silenceAnomalies, {
        component,
        metric,
        duration: lengthOf(words.at(-1)),
        ...asker,
      });
    },
  },
  {
    name: 'freeze',
    synopsis: '[COMPONENT] --reason TEXT',
    summary: 'stop all tuning, of one component or of all',
    arguments: [0, 1],
    danger: ([component]) =>
      component === undefined ? 'tuning of every component stops, and what is on trial is taken back' : undefined,
    ask: (client, [component = ''], asker, given) =>
      callAgent(client, method.freeze, { component, reason: reasonOf(given), ...asker }),
  },
  {
    name: 'unfreeze',
    synopsis: '[COMPONENT]',
    summary: 'let tuning go on',
    arguments: [0, 1],
    danger: ([component]) =>
      component === undefined ? 'tuning goes on wherever it is not frozen by itself' : undefined,
    ask: (client, [component = ''], asker) => callAgent(client, method.unfreeze, { component, ...asker }),
  },
];

export const operatorCommands: readonly Command[] = VERBS.map(commandOf);

function commandOf({ name, synopsis, summary, arguments: least, words, danger, ask }: Verb): Command {
  const takesReason = synopsis.includes('--reason');
  return {
    name,
    synopsis,
    summary,
    details: [ADDRESS_HELP, ...(takesReason ? ['  --reason        why, for the record'] : []), ...CHANGE_HELP],
    options: {
      ...CONFIG_OPTION,
      ...ADDRESS_OPTION,
      ...CHANGE_OPTIONS,
      ...(takesReason ? { reason: { type: 'string' } } : {}),
    },
    arguments: least,
    ...(words !== undefined && { words }),
    async run(given, shell) {
      if (takesReason) reasonOf(given);
      const dryRun = isDryRun(given);
      const harm = danger?.(given.positionals);
      if (harm !== undefined) await mustBeMeant(given, shell, harm);
      const asker = { by: operatorName(), validateOnly: dryRun };
      const answer = await withAgent(given, shell, (client) => ask(client, given.positionals, asker, given));
      const { message, proposalId, decisionId } = answer;
      // An id that is empty on the wire is one that there is not.
      const ids = { ...(proposalId && { proposalId }), ...(decisionId && { decisionId }) };
      if (hasFlag(given, 'json')) shell.out(JSON.stringify({ message, dryRun, ...ids }));
      else shell.out(`${dryRun ? 'nothing was done; it would be: ' : ''}${printable(message)}`);
      return EXIT.ok;
    },
  };
}

function reasonOf(given: Given): string {
  const reason = optionOf(given, 'reason')?.trim();
  if (reason === undefined || reason === '')
    throw new CommandError('say why with --reason, for the record', EXIT.usage);
  return reason.slice(0, 1024);
}

function lengthOf(text = '') {
  const ms = parseDuration(text);
  if (ms !== undefined) return durationFromMs(ms);
  throw new CommandError(`${printable(text)} is no time; allowed: "30m", "2h", "7d", or "0s" to end it`, EXIT.usage);
}

function modeOf(word: string): KnobMode {
  const mode = KNOB_MODES.find((known) => known === word);
  if (mode === undefined) {
    throw new CommandError(`mode ${printable(word)}: allowed: ${KNOB_MODES.join(', ')}`, EXIT.usage);
  }
  return mode;
}

async function proposed(client: Client, component: string, assignment: string) {
  const [knob = '', ...rest] = assignment.split('=');
  if (knob === '' || rest.length === 0)
    throw new CommandError(`${printable(assignment)}: write KNOB=VALUE, such as batch_size=16`, EXIT.usage);
  return { knob, value: await wireValue(client, component, knob, rest.join('=')) };
}

/** A value in the knob's own type, checked against what the process declared before it is sent. */
async function wireValue(client: Client, component: string, knob: string, text: string) {
  const { components } = await snapshotOf(client, component);
  const state = components.find((known) => known.component === component);
  const wire = state?.knobs.find(({ spec }) => spec?.id === knob)?.spec;
  if (wire === undefined) {
    const known = (state?.knobs ?? []).map(({ spec }) => printable(spec?.id ?? ''));
    const what = state === undefined ? `component ${printable(component)}` : `knob ${printable(knob)}`;
    throw new CommandError(
      `no ${what}${known.length === 0 ? '; `perfopt snapshot` lists what there is' : `; knobs: ${known.join(', ')}`}`,
    );
  }
  const spec = decodeSpec(wire);
  if ('problem' in spec) throw new CommandError(`knob ${printable(knob)}: ${spec.field} ${spec.problem}`);
  const value = readValue(spec.type, text);
  const refusal = whyNotTunable(spec, value);
  if (refusal !== undefined) throw new CommandError(`knob ${printable(knob)}: ${refusal}`);
  return encodeValue(value, spec.type);
}

function readValue(type: string, text: string): KnobValue {
  if (type === 'enum') return text;
  if (type === 'bool') return text === 'true' ? true : text === 'false' ? false : text;
  const number = Number(text);
  return text.trim() === '' || Number.isNaN(number) ? text : number;
}
