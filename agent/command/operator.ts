import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@grpc/grpc-js';
import { KNOB_MODES, type KnobMode, type KnobValue } from '../core/model.ts';
import { TuningService } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callUnary } from '../rpc/calls.ts';
import { decodeSpec, encodeValue } from '../rpc/knob_codec.ts';
import { whyNotAllowed } from '../rpc/knob_domain.ts';
import { modeWords } from '../rpc/words.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, type Given, optionOf } from './shell.ts';
import { snapshotOf } from './snapshot.ts';
import { printable } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, CALL_DEADLINE_MS, operatorName, withAgent } from './tuning-client.ts';

const { method } = TuningService;
type Answer = Promise<{ readonly message: string }>;

/** The commands of a human's hand on the running agent. */
export const operatorCommands: readonly Command[] = [
  verb('approve', 'PROPOSAL_ID', 'let a proposal go ahead', [1, 1], (client, [proposalId = '']) =>
    call(client, method.approve, { proposalId, by: operatorName() }),
  ),
  verb('reject', 'PROPOSAL_ID --reason TEXT', 'decline a proposal', [1, 1], (client, [proposalId = ''], given) =>
    call(client, method.reject, { proposalId, reason: reasonOf(given), by: operatorName() }),
  ),
  verb(
    'mode',
    `COMPONENT [KNOB] ${KNOB_MODES.join('|')}`,
    'set what the tuner may do with a knob, or with all knobs of a component',
    [2, 3],
    (client, words) => {
      const [component = '', knob = ''] = words.length === 3 ? words : words.slice(0, 1);
      const mode = modeWords.encode(modeOf(words.at(-1) ?? ''));
      return call(client, method.setMode, { component, knob, mode, by: operatorName() });
    },
  ),
  verb(
    'pin',
    'COMPONENT KNOB [VALUE]',
    'keep a knob where it is, or at a value',
    [2, 3],
    async (client, [component = '', knob = '', text]) => {
      const value = text === undefined ? {} : { value: await wireValue(client, component, knob, text) };
      return call(client, method.pin, { component, knob, ...value, by: operatorName() });
    },
  ),
  verb('unpin', 'COMPONENT KNOB', 'let the tuner move a knob again', [2, 2], (client, [component = '', knob = '']) =>
    call(client, method.unpin, { component, knob, by: operatorName() }),
  ),
  verb(
    'freeze',
    '[COMPONENT] --reason TEXT',
    'stop all tuning, of one component or of all',
    [0, 1],
    (client, [component = ''], given) =>
      call(client, method.freeze, { component, reason: reasonOf(given), by: operatorName() }),
  ),
  verb('unfreeze', '[COMPONENT]', 'let tuning go on', [0, 1], (client, [component = '']) =>
    call(client, method.unfreeze, { component, by: operatorName() }),
  ),
];

function verb(
  name: string,
  synopsis: string,
  summary: string,
  least: readonly [number, number],
  ask: (client: Client, words: readonly string[], given: Given) => Answer,
): Command {
  const takesReason = synopsis.includes('--reason');
  return {
    name,
    synopsis,
    summary,
    details: [ADDRESS_HELP, ...(takesReason ? ['  --reason        why, for the record'] : [])],
    options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, ...(takesReason ? { reason: { type: 'string' } } : {}) },
    arguments: least,
    async run(given, shell) {
      const { message } = await withAgent(given, shell, (client) => ask(client, given.positionals, given));
      shell.out(printable(message));
      return EXIT.ok;
    },
  };
}

function call<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
) {
  return callUnary(client, method, create(method.input, request), CALL_DEADLINE_MS);
}

function reasonOf(given: Given): string {
  const reason = optionOf(given, 'reason')?.trim();
  if (reason === undefined || reason === '')
    throw new CommandError('say why with --reason, for the record', EXIT.usage);
  return reason.slice(0, 1024);
}

function modeOf(word: string): KnobMode {
  const mode = KNOB_MODES.find((known) => known === word);
  if (mode === undefined) {
    throw new CommandError(`mode ${printable(word)}: allowed: ${KNOB_MODES.join(', ')}`, EXIT.usage);
  }
  return mode;
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
  const refusal = whyNotAllowed(spec, value);
  if (refusal !== undefined) throw new CommandError(`knob ${printable(knob)}: ${refusal}`);
  return encodeValue(value, spec.type);
}

function readValue(type: string, text: string): KnobValue {
  if (type === 'enum') return text;
  if (type === 'bool') return text === 'true' ? true : text === 'false' ? false : text;
  const number = Number(text);
  return text.trim() === '' || Number.isNaN(number) ? text : number;
}
