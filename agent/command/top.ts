import { setTimeout as wait } from 'node:timers/promises';
import { create, toJson } from '@bufbuild/protobuf';
import { type Client, status } from '@grpc/grpc-js';
import { parseDuration } from '../config/kinds.ts';
import type { PerformanceProfile } from '../core/profile/performance_profile.ts';
import { GetProfileRequestSchema } from '../gen/performance_optimizer/control/v1/profile_pb.ts';
import {
  GetSnapshotResponseSchema,
  ListDecisionsRequestSchema,
  TuningService,
} from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callUnary, isServiceError } from '../rpc/calls.ts';
import { decodeProfile } from '../rpc/profile_codec.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag, optionOf, type Screen, type Shell } from './shell.ts';
import { snapshotOf } from './snapshot.ts';
import { paint, printable } from './text.ts';
import { frameOf, type TopView } from './top_frame.ts';
import { ADDRESS_HELP, ADDRESS_OPTION, withAgent } from './tuning-client.ts';

/** A frame that takes longer to fetch is skipped. */
const FRAME_DEADLINE_MS = 5_000;
const SHOWN_DECISIONS = 10;
/** Beyond, a frame would cost the agent more than it tells anybody. */
const MAX_PROFILES = 32;
const DEFAULT_INTERVAL_MS = 1_000;

export const topCommand: Command = {
  name: 'top',
  synopsis: '[COMPONENT] [--interval 1s] [--json]',
  summary: 'watch components, knobs and decisions of the running agent; one look where the output is no terminal',
  details: [
    '  --interval TIME   between two looks, "500ms" to "1h"; 1s. q or Ctrl-C ends it',
    '  --json            one look, as JSON',
    ADDRESS_HELP,
  ],
  options: { ...CONFIG_OPTION, ...ADDRESS_OPTION, interval: { type: 'string' }, json: { type: 'boolean' } },
  arguments: [0, 1],
  async run(given, shell) {
    const [component = ''] = given.positionals;
    const intervalMs = intervalOf(optionOf(given, 'interval'));
    const isJson = hasFlag(given, 'json');
    await withAgent(given, shell, async (client) => {
      if (shell.screen !== undefined && !isJson) {
        await draw(client, component, intervalMs, shell, shell.screen());
        return;
      }
      const view = await look(client, component);
      shell.out(isJson ? JSON.stringify(documentOf(view), null, 2) : frameOf(view, paint(shell.hasColours)));
    });
    return EXIT.ok;
  },
};

function intervalOf(text: string | undefined): number {
  const ms = text === undefined ? DEFAULT_INTERVAL_MS : parseDuration(text);
  if (ms !== undefined && ms >= 500 && ms <= 3_600_000) return ms;
  throw new CommandError(`--interval ${printable(text ?? '')}: allowed: "500ms" to "1h"`, EXIT.usage);
}

async function draw(
  client: Client,
  component: string,
  intervalMs: number,
  shell: Shell,
  screen: Screen,
): Promise<void> {
  const ended = new AbortController();
  const stopListening = shell.onSignal(() => ended.abort());
  screen.onKey((key) => {
    // In raw mode Ctrl-C is a key like any other.
    if (key === 'q' || key === '\u0003') ended.abort();
  });
  const colours = paint(shell.hasColours);
  try {
    while (!ended.signal.aborted) {
      try {
        screen.draw(frameOf(await look(client, component), colours, screen));
      } catch (error) {
        if (!isServiceError(error)) throw error;
        if (error.code === status.PERMISSION_DENIED || error.code === status.UNAUTHENTICATED) throw error;
        screen.draw(colours.bad(`the agent does not answer (${printable(error.details)}); trying again`));
      }
      await wait(intervalMs, undefined, { signal: ended.signal }).catch(() => {});
    }
  } finally {
    stopListening();
    screen.close();
  }
}

async function look(client: Client, component: string): Promise<TopView> {
  const { method } = TuningService;
  const [snapshot, { decisions }] = await Promise.all([
    snapshotOf(client, component),
    callUnary(
      client,
      method.listDecisions,
      create(ListDecisionsRequestSchema, { component, limit: SHOWN_DECISIONS }),
      FRAME_DEADLINE_MS,
    ),
  ]);
  const names = snapshot.components.slice(0, MAX_PROFILES).map((state) => state.component);
  const profiles = await Promise.all(names.map((name) => profileOf(client, name)));
  const found = profiles.flatMap((profile, i) => (profile === undefined ? [] : [[names[i] ?? '', profile] as const]));
  return { snapshot, decisions, profiles: new Map(found) };
}

/** `undefined` where nothing was measured of it yet. */
async function profileOf(client: Client, component: string): Promise<PerformanceProfile | undefined> {
  try {
    const request = create(GetProfileRequestSchema, { component });
    const { profile } = await callUnary(client, TuningService.method.getProfile, request, FRAME_DEADLINE_MS);
    return profile && decodeProfile(profile);
  } catch (error) {
    if (isServiceError(error) && error.code === status.NOT_FOUND) return undefined;
    throw error;
  }
}

function documentOf({ snapshot, profiles, decisions }: TopView) {
  return {
    snapshot: toJson(GetSnapshotResponseSchema, snapshot),
    profiles: Object.fromEntries(profiles),
    decisions: decisions.map(({ id, component, kind, reason }) => ({ id, component, kind, reason })),
  };
}
