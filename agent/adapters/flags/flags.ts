/**
 * Knobs as feature flags, for processes that speak no library of ours: flagd's sync protocol for those who evaluate by
 * themselves (a memory read, and the lease is in the definition), and its evaluation protocol for those who ask each time.
 * All of it only reads.
 *
 * Components of the configuration are tuned this way: a subscriber that names one in its selector counts as its process.
 * Those that have a session of their own are mirrored, with what they say is in force.
 */
import { create } from '@bufbuild/protobuf';
import {
  type Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import {
  Service as EvaluationV1,
  EventStreamResponseSchema as EventsV1,
} from '../../gen/flagd/evaluation/v1/evaluation_pb.ts';
import {
  Service as EvaluationV2,
  EventStreamResponseSchema as EventsV2,
} from '../../gen/flagd/evaluation/v2/evaluation_pb.ts';
import {
  FetchAllFlagsResponseSchema,
  FlagSyncService,
  GetMetadataResponseSchema,
  SyncFlagsResponseSchema,
} from '../../gen/flagd/sync/v1/sync_pb.ts';
import type { Reads, Served } from '../../rpc/served.ts';
import { definitions, keyOf, valueAt, variantOf } from './definitions.ts';
import { evaluation } from './evaluation.ts';
import { FlaggedSession } from './flagged_session.ts';
import type { Flag, FlaggedComponent, FlagsEffect, FlagsPorts } from './ports.ts';
import { Subscribers } from './subscribers.ts';

export interface FlagsOptions {
  readonly components: readonly FlaggedComponent[];
  /** Of values that are only mirrored, which have no lease of their own that is known here. */
  readonly leaseTtlMs: number;
  readonly ports: FlagsPorts;
}

export interface Flags {
  /** To be served on the control channel's addresses. */
  readonly services: readonly Served[];
  /** Whether the component is tuned by way of its flags, so that nobody else may hold a session of it. */
  owns(component: string): boolean;
  start(): void;
  stop(): void;
  /** Carries out what is for a component of its own; false for all others. */
  perform(effect: FlagsEffect): boolean;
  /** Something may be in force somewhere that was not: looked at soon, once for many. */
  changed(): void;
}

/** What a process says is in force is known to the engine some moments later. */
const LOOK_AFTER_MS = 20;

type StreamCall = ServerWritableStream<{ readonly selector?: string }, unknown>;
type AnyCall = { readonly metadata: Metadata };

export function createFlags({ components, leaseTtlMs, ports }: FlagsOptions): Flags {
  const sessions = new Map<string, FlaggedSession>();
  const subscribers = new Subscribers((component) => sessions.get(component)?.subscribed(subscribers.of(component)));
  for (const declared of components)
    sessions.set(
      declared.component,
      new FlaggedSession(
        declared,
        ports,
        () => subscribers.publish(),
        () => subscribers.isDelivered(declared.component),
      ),
    );
  subscribers.onDelivery = () => {
    for (const session of sessions.values()) session.delivered();
  };

  const all = (): readonly Flag[] => {
    const untilMs = ports.nowMs() + leaseTtlMs;
    const mirrored = ports.components().flatMap(({ component, connected, knobs }) =>
      sessions.has(component)
        ? []
        : knobs.map(({ spec, effective, effectiveRevision }): Flag => {
            const isTuned = connected && effective !== undefined && effective !== spec.baseline;
            if (!isTuned) return { component, spec };
            return { component, spec, tuned: { value: effective, revision: effectiveRevision, untilMs } };
          }),
    );
    return [...[...sessions.values()].flatMap((session) => session.flags), ...mirrored];
  };

  const visible = (mayRead: (component: string) => boolean, component: string | undefined): readonly Flag[] =>
    all().filter((flag) => mayRead(flag.component) && (component === undefined || flag.component === component));

  /** Ends a call that asks for what it may not see; otherwise what it has asked for. */
  const asked = (call: AnyCall & { emit(event: 'error', error: object): boolean }, reads: Reads, selector: string) => {
    const mayRead = reads(call);
    const component = selected(selector || String(call.metadata.get('flagd-selector')[0] ?? ''));
    if (component === undefined || mayRead(component)) return { mayRead, component };
    const details = `this peer may not read the flags of ${JSON.stringify(component.slice(0, 80))}`;
    return { code: status.PERMISSION_DENIED, details };
  };

  const sync: Served = {
    service: FlagSyncService,
    handlers: (reads) => ({
      syncFlags: (call: StreamCall) => {
        const wanted = asked(call, reads, call.request.selector ?? '');
        if ('code' in wanted) {
          call.emit('error', wanted);
          return;
        }
        const { mayRead, component } = wanted;
        let told: string | undefined;
        const news = () => {
          const flagConfiguration = definitions(visible(mayRead, component));
          if (flagConfiguration === told) return undefined;
          told = flagConfiguration;
          return create(SyncFlagsResponseSchema, { flagConfiguration });
        };
        subscribers.add({ call, component, mayRead, news });
      },
      fetchAllFlags: (call: ServerUnaryCall<{ selector: string }, unknown>, callback: sendUnaryData<unknown>) => {
        const wanted = asked(call, reads, call.request.selector);
        if ('code' in wanted) {
          callback(wanted);
          return;
        }
        const flagConfiguration = definitions(visible(wanted.mayRead, wanted.component));
        callback(null, create(FetchAllFlagsResponseSchema, { flagConfiguration }));
      },
      // Present and empty: a provider takes its absence for an error.
      getMetadata: (_: unknown, callback: sendUnaryData<unknown>) =>
        callback(null, create(GetMetadataResponseSchema, { metadata: {} })),
    }),
  };

  const evaluated = (service: typeof EvaluationV1 | typeof EvaluationV2): Served => ({
    service,
    handlers: (reads) =>
      evaluation(service, {
        nowMs: () => ports.nowMs(),
        flags: (call) => visible(reads(call), undefined),
        eventStream: (call) => {
          const wanted = asked(call, reads, '');
          if ('code' in wanted) {
            call.emit('error', wanted);
            return;
          }
          const { mayRead, component } = wanted;
          const schema = service === EvaluationV1 ? EventsV1 : EventsV2;
          let told: ReadonlyMap<string, string> | undefined;
          // Only what reads differently is news here: a lease that was renewed is not.
          const news = () => {
            const flags = visible(mayRead, component).map((flag) => [keyOf(flag), readingOf(flag)] as const);
            const changed = changesBetween(told, new Map(flags));
            const isFirst = told === undefined;
            told = new Map(flags);
            if (isFirst) return create(schema, { type: 'provider_ready', data: {} });
            if (changed.length === 0) return undefined;
            const data = { flags: Object.fromEntries(changed.map((key) => [key, { type: 'update' }])) };
            return create(schema, { type: 'configuration_change', data });
          };
          subscribers.add({ call, component, mayRead, news });
        },
      }),
  });

  const readingOf = (flag: Flag): string => {
    const { value, isTuned } = valueAt(flag, ports.nowMs());
    return JSON.stringify([value, isTuned && variantOf(flag)]);
  };

  let isLooking = false;
  let callOffLook = (): void => {};
  let callOff = (): void => {};
  /** Leases of mirrored values are kept up while their sessions are. */
  const keepUp = (): void => {
    callOff = ports.after(Math.max(100, leaseTtlMs / 3), () => {
      subscribers.publish();
      keepUp();
    });
  };

  return {
    services: [sync, evaluated(EvaluationV1), evaluated(EvaluationV2)],
    owns: (component) => sessions.has(component),
    start: keepUp,
    stop() {
      callOff();
      callOffLook();
      subscribers.endAll('the agent is stopping');
    },
    perform(effect) {
      const session = sessions.get(effect.kind === 'command' ? effect.command.component : effect.component);
      if (session === undefined) return false;
      if (effect.kind === 'command') session.command(effect.command);
      else if (effect.kind === 'renewal') session.renew(effect.revision, effect.leaseTtlMs);
      else session.revoke(effect.revision, effect.knobs, effect.reason);
      return true;
    },
    changed() {
      if (isLooking || subscribers.size === 0) return;
      isLooking = true;
      callOffLook = ports.after(LOOK_AFTER_MS, () => {
        isLooking = false;
        subscribers.publish();
      });
    },
  };
}

/** `embedder`, `component=embedder` or `flagSetId=embedder`; all when empty. */
function selected(selector: string): string | undefined {
  return selector.replace(/^(?:component|flagSetId)=/, '') || undefined;
}

function changesBetween(before: ReadonlyMap<string, string> | undefined, now: ReadonlyMap<string, string>): string[] {
  const keys = new Set([...(before?.keys() ?? []), ...now.keys()]);
  return [...keys].filter((key) => before?.get(key) !== now.get(key));
}
