import { create, toJson } from '@bufbuild/protobuf';
import { type Client, status } from '@grpc/grpc-js';
import { ControlService } from '../gen/performance_optimizer/control/v1/control_service_pb.ts';
import {
  type KnobUpdate,
  WatchKnobsRequestSchema,
  type WatchKnobsResponse,
  WatchKnobsResponseSchema,
} from '../gen/performance_optimizer/control/v1/knob_watch_pb.ts';
import { callServerStream, isServiceError } from '../rpc/calls.ts';
import { modeWords } from '../rpc/words.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, EXIT, hasFlag, type Shell } from './shell.ts';
import { shownValue } from './snapshot.ts';
import { paint, printable, table } from './text.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, withAgent } from './tuning-client.ts';

export const knobsCommand: Command = {
  name: 'knobs',
  synopsis: '[COMPONENT] [--watch] [--json]',
  summary: 'list knobs: what is in force, what is wanted, and who may change it',
  details: [
    '  -w, --watch     go on with every change, until interrupted',
    '  --json          as the protocol says it; with --watch, a line of JSON a change',
    ADDRESS_HELP,
  ],
  options: {
    ...CONFIG_OPTION,
    ...ADDRESS_OPTION,
    watch: { type: 'boolean', short: 'w' },
    json: { type: 'boolean' },
  },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const isJson = hasFlag(given, 'json');
    const isWatch = hasFlag(given, 'watch');
    await withAgent(given, shell, (client) =>
      watchKnobs(client, component, shell, (told) => {
        if (isJson) shell.out(JSON.stringify(toJson(WatchKnobsResponseSchema, told), null, isWatch ? 0 : 2));
        else if (!told.isSnapshot) for (const update of told.updates) shell.out(rowOf(update).join('  ').trimEnd());
        else if (told.updates.length === 0) shell.err('no knob is known yet');
        else shell.out(table([HEADING, ...told.updates.map(rowOf)], paint(shell.hasColours)));
        return isWatch;
      }),
    );
    return EXIT.ok;
  },
};

const HEADING = ['component', 'knob', 'in force', 'wanted', 'mode', '', 'revision', 'last error'];

/** Until `told` says that it is enough, or the user does. */
async function watchKnobs(
  client: Client,
  component: string,
  shell: Shell,
  told: (response: WatchKnobsResponse) => boolean,
): Promise<void> {
  const request = create(WatchKnobsRequestSchema, { component });
  const stream = callServerStream(client, ControlService.method.watchKnobs, request);
  const stopListening = shell.onSignal(() => stream.cancel());
  try {
    const responses: AsyncIterable<WatchKnobsResponse> = stream;
    for await (const response of responses) if (!told(response)) break;
  } catch (error) {
    // Ended by us.
    if (!isServiceError(error) || error.code !== status.CANCELLED) throw error;
  } finally {
    stopListening();
    stream.cancel();
  }
}

function rowOf({ component, knob, status: now }: KnobUpdate): readonly string[] {
  if (now === undefined) return [printable(component), printable(knob), 'declared no more'];
  return [
    printable(component),
    printable(knob),
    shownValue(now.effective),
    shownValue(now.desired),
    modeWords.decode(now.mode) ?? '',
    now.pinned ? 'pinned' : '',
    String(now.effectiveRevision),
    printable(now.lastError),
  ];
}
