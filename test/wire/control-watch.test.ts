/** WatchKnobs and ReportOutcome over real sockets; the engine is the test. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { TRUSTING } from '../../agent/adapters/control/access.ts';
import {
  type ComponentSnapshot,
  DEFAULT_CONTROL_LIMITS,
  type KnobSnapshot,
} from '../../agent/adapters/control/ports.ts';
import { OUTCOME_METRIC } from '../../agent/core/mappings/opentelemetry.ts';
import type { Acceptance, KnobSpec, SampleBatch } from '../../agent/core/model.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { ControlService } from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import {
  WatchKnobsRequestSchema,
  type WatchKnobsResponse,
} from '../../agent/gen/performance_optimizer/control/v1/knob_watch_pb.ts';
import { ReportOutcomeRequestSchema } from '../../agent/gen/performance_optimizer/control/v1/outcome_pb.ts';
import { callServerStream, callUnary } from '../../agent/rpc/calls.ts';
import { type ChannelAccess, channelCredentials, withToken } from '../../agent/rpc/channel_access.ts';
import { encodeTimeMs } from '../../agent/rpc/knob_codec.ts';
import { Arrivals, command, startRig } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const SPEC: KnobSpec = {
  ...{ id: 'batch_size', type: 'int', min: 1, max: 64, scale: 'linear', baseline: 8, description: '', unit: '1' },
  ...{ role: 'batch', applyClass: 'hot', settleMs: 0, ceilingAtBoot: false },
};
const AT_REST: KnobSnapshot = {
  ...{ spec: SPEC, desired: 8, effective: 8, mode: 'auto', pinned: false, attemptedRevision: 0, effectiveRevision: 0 },
};
const TOKEN = 'embedder-token-0123456789';

/** An agent whose engine believes what the test says, and whom a command tells to look again. */
async function agent(limits = DEFAULT_CONTROL_LIMITS) {
  const knobs = new Map<string, readonly KnobSnapshot[]>();
  const batches = new Arrivals<SampleBatch>();
  let acceptance: Acceptance = { state: 'accepted', rejected: 0 };
  const rig = await startRig(
    {
      listen: ['127.0.0.1:0'],
      epoch: 7,
      limits,
      access: { ...TRUSTING, processes: [{ component: 'embedder', token: TOKEN }] },
    },
    {
      component: (component): ComponentSnapshot | undefined => {
        const known = knobs.get(component);
        const rest = {
          tier: 'stable',
          connected: true,
          frozen: false,
          revisions: [],
          proposals: [],
          proven: [],
        } as const;
        return known && { component, ...rest, knobs: known };
      },
      outcomes: {
        sink: {
          accept(batch) {
            batches.push(batch);
            return acceptance;
          },
        },
        interner: new SeriesInterner({ maxSeries: 10 }),
        nowMs: () => 100_000,
      },
    },
  );
  cleanups.push(rig.stop);
  const set = (component: string, ...statuses: readonly Partial<KnobSnapshot>[]): void => {
    knobs.set(
      component,
      statuses.map((change) => ({ ...AT_REST, ...change })),
    );
    rig.server.perform({ kind: 'command', command: command({ component }) });
  };
  const overload = (): void => {
    acceptance = { state: 'overloaded', retryAfterMs: 50 };
  };
  return { ...rig, set, batches, overload };
}

function clientOf(address: string, access: ChannelAccess = {}): Client {
  const client = new Client(address, channelCredentials(access), withToken(access));
  cleanups.push(() => client.close());
  return client;
}

function watch(client: Client, request: MessageInitShape<typeof WatchKnobsRequestSchema> = {}) {
  const stream = callServerStream(client, ControlService.method.watchKnobs, create(WatchKnobsRequestSchema, request));
  const told = new Arrivals<WatchKnobsResponse>();
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  stream.on('data', told.push);
  return { told, ended, stream };
}

describe('watching knobs', () => {
  test('everything as it is, then each change once, with rising revisions, and nothing where nothing changed', async () => {
    const { address, set } = await agent();
    set('embedder', {});
    set('ranker', {});
    const client = clientOf(address);
    const all = watch(client);
    const first = await all.told.next();
    expect(first).toMatchObject({ epoch: 7n, revision: 2n, isSnapshot: true });
    expect(first.updates.map(({ component, revision }) => [component, revision])).toEqual([
      ['embedder', 1n],
      ['ranker', 2n],
    ]);
    const one = watch(client, { component: 'ranker' });
    expect((await one.told.next()).updates).toHaveLength(1);
    set('embedder', {});
    set('embedder', { desired: 16, attemptedRevision: 1 });
    const change = await all.told.next();
    expect(change).toMatchObject({
      revision: 3n,
      isSnapshot: false,
      updates: [{ component: 'embedder', knob: 'batch_size', revision: 3n, status: { attemptedRevision: 1n } }],
    });
    // A knob that is declared no more is told once, without a status.
    set('ranker');
    expect(await one.told.next()).toMatchObject({ revision: 4n, updates: [{ knob: 'batch_size', revision: 4n }] });
    expect(one.told.all[1]?.updates[0]?.status).toBeUndefined();
  });

  test('from a revision on, and not from one that is compacted, ahead, or of another start', async () => {
    const { address, set } = await agent({ ...DEFAULT_CONTROL_LIMITS, maxKnobChanges: 2 });
    const client = clientOf(address);
    const observer = watch(client);
    await observer.told.next();
    for (const desired of [1, 2, 3, 4]) {
      set('embedder', { desired });
      await observer.told.next();
    }
    const late = watch(client, { epoch: 7n, startRevision: 3n });
    expect((await late.told.next()).updates.map(({ revision }) => revision)).toEqual([3n, 4n]);
    // The next that will be: nothing to tell yet.
    const upToDate = watch(client, { epoch: 7n, startRevision: 5n });
    await new Promise((resolve) => upToDate.stream.once('metadata', resolve));
    set('embedder', { desired: 5 });
    expect(await upToDate.told.next()).toMatchObject({ revision: 5n });
    const refusals = [
      [
        { epoch: 7n, startRevision: 1n },
        'revision 1 is compacted; the oldest that is remembered is 4; begin again at 0',
      ],
      [{ epoch: 7n, startRevision: 9n }, 'revision 9 has not been reached; the next is 6; begin again at 0'],
      [{ epoch: 6n, startRevision: 5n }, "the agent's epoch is 7, not 6; begin again at 0"],
    ] as const;
    for (const [request, details] of refusals)
      expect(await watch(client, request).ended).toMatchObject({ code: status.OUT_OF_RANGE, details });
  });

  test('a process sees its own component only; a slow watcher is cut off, and goes on where it was', async () => {
    const { address, set, notices } = await agent({ ...DEFAULT_CONTROL_LIMITS, maxQueuedMessages: 4 });
    set('embedder', {});
    const own = clientOf(address, { token: TOKEN });
    expect((await watch(own, { component: 'embedder' }).told.next()).updates).toHaveLength(1);
    expect(await watch(own).ended).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: 'process of "embedder" may watch its own component only, not all',
    });
    const slow = watch(clientOf(address));
    await slow.told.next();
    slow.stream.pause();
    const isCut = (): boolean => notices.all.some(({ kind }) => kind === 'watcher_cut');
    for (let revision = 2; !isCut(); revision++) {
      set('embedder', { lastError: String(revision).padStart(100_000, '.') });
      await new Promise((resolve) => setImmediate(resolve));
    }
    slow.stream.resume();
    expect(await slow.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const startRevision = slow.told.all.at(-1)!.revision + 1n;
    const resumed = watch(clientOf(address), { epoch: 7n, startRevision });
    expect((await resumed.told.next()).updates[0]?.revision).toBe(startRevision);
  });
});

type Outcomes = NonNullable<MessageInitShape<typeof ReportOutcomeRequestSchema>['outcomes']>;

describe('reporting outcomes', () => {
  const report = (client: Client, request: MessageInitShape<typeof ReportOutcomeRequestSchema>) =>
    callUnary(client, ControlService.method.reportOutcome, create(ReportOutcomeRequestSchema, request), 5_000).catch(
      (error: ServiceError) => error,
    );
  const outcome = (reward: number, fromMs = 90_000, toMs = 95_000) => ({
    ...{ reward, startTime: encodeTimeMs(fromMs), endTime: encodeTimeMs(toMs) },
  });

  test('become points of the component, over the interval that they speak of', async () => {
    const { address, batches } = await agent();
    const client = clientOf(address, { token: TOKEN });
    await report(client, { component: 'embedder', outcomes: [outcome(0.5), outcome(2, 95_000, 99_000)] });
    const batch = await batches.next();
    expect(batch.size).toBe(2);
    expect(batch.series[0]).toMatchObject({ name: OUTCOME_METRIC, kind: 'histogram', temporality: 'delta' });
    expect(batch.series[0]?.resource.get('service.name')).toBe('embedder');
    expect([batch.startMs[1], batch.timeMs[1], batch.histogram[1]?.sum]).toEqual([95_000, 99_000, 2]);
  });

  test('that cannot be meant, or are of another, are refused with what is allowed', async () => {
    const { address, batches, overload } = await agent();
    const client = clientOf(address, { token: TOKEN });
    const component = 'embedder';
    const refused = async (outcomes: Outcomes, code: status, details: string) =>
      expect(await report(client, { component, outcomes })).toMatchObject({
        code,
        details: expect.stringContaining(details),
      });
    await refused([], status.INVALID_ARGUMENT, 'outcomes has 0 entries; allowed are 1 to 64');
    await refused([outcome(0)], status.INVALID_ARGUMENT, 'outcomes[0].reward is 0; it must be finite and above 0');
    await refused([outcome(Number.NaN)], status.INVALID_ARGUMENT, 'must be finite');
    await refused([outcome(1), { reward: 1 }], status.INVALID_ARGUMENT, 'outcomes[1] needs start_time and end_time');
    await refused([outcome(1, 5, 5)], status.INVALID_ARGUMENT, 'must be after start_time');
    await refused([outcome(1, 5, 200_000)], status.INVALID_ARGUMENT, 'not in the future');
    expect(await report(client, { component: 'ranker', outcomes: [outcome(1)] })).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    expect(batches.all).toEqual([]);
    overload();
    await refused([outcome(1)], status.RESOURCE_EXHAUSTED, 'try again in 50 ms');
  });
});
