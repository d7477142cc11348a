import { create, type DescMessage } from '@bufbuild/protobuf';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { createFlags, type Flags } from '../../agent/adapters/flags/flags.ts';
import type { FlagsPorts, SeenComponent } from '../../agent/adapters/flags/ports.ts';
import { Service as EvaluationV1 } from '../../agent/gen/flagd/evaluation/v1/evaluation_pb.ts';
import { Service as EvaluationV2 } from '../../agent/gen/flagd/evaluation/v2/evaluation_pb.ts';
import { FlagSyncService, type SyncFlagsResponse } from '../../agent/gen/flagd/sync/v1/sync_pb.ts';
import { callServerStream, callUnary } from '../../agent/rpc/calls.ts';
import { withToken } from '../../agent/rpc/channel_access.ts';
import { intSpec } from '../contract/control-client-rig.ts';
import { Arrivals, command, RawClient, type Rig, startRig } from './control-rig.ts';

const open: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const ratio = { ...intSpec('ratio'), type: 'double' as const, min: 0, max: 1, scale: 'linear' as const, baseline: 0.5 };
const bool = { ...intSpec('fast'), type: 'bool' as const, baseline: false };
const word = { ...intSpec('mode'), type: 'enum' as const, values: ['safe', 'quick'], baseline: 'safe' };
const seen: SeenComponent = {
  component: 'embedder',
  connected: true,
  knobs: [
    { spec: intSpec('batch_size'), effective: 16, effectiveRevision: 7 },
    {
      spec: ratio,
      effective: 0.25,
      effectiveRevision: 9,
    },
    { spec: bool, effective: true, effectiveRevision: 9 },
    { spec: word, effectiveRevision: 0 },
  ],
};

async function served(options: Parameters<typeof startRig>[0] extends infer O ? Partial<O> : never = {}) {
  const inputs = new Arrivals<Parameters<FlagsPorts['inbox']>[0]>();
  const flags: Flags = createFlags({
    components: [{ component: 'checkout', tier: 'stable', knobs: [intSpec('batch_size')] }],
    leaseTtlMs: 15_000,
    ports: {
      inbox: inputs.push,
      components: () => [seen],
      nowMs: () => Date.now(),
      after: (delayMs, run) => {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    },
  });
  const rig: Rig = await startRig({
    listen: ['127.0.0.1:0'],
    served: flags.services,
    isTaken: flags.owns,
    ...options,
  });
  open.push(() => rig.stop());
  open.push(() => flags.stop());
  const client = new Client(rig.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  open.push(() => client.close());
  return { flags, rig, client, inputs };
}

function sync(client: Client, selector: string) {
  const configurations = new Arrivals<Record<string, unknown>>();
  const { method } = FlagSyncService;
  const stream = callServerStream(client, method.syncFlags, create(method.syncFlags.input, { selector }));
  stream.on('data', ({ flagConfiguration }: SyncFlagsResponse) =>
    configurations.push(JSON.parse(flagConfiguration).flags),
  );
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  return { configurations, ended, cancel: () => stream.cancel() };
}

const failure = (call: Promise<unknown>): Promise<{ code: status; details: string }> =>
  call.then(
    () => ({ code: status.OK, details: '' }),
    (error: ServiceError) => ({ code: error.code, details: error.details }),
  );

describe('the sync protocol', () => {
  test('sends all definitions, or those of the component that the selector names', async () => {
    const { client } = await served();
    const all = await sync(client, '').configurations.next();
    expect(Object.keys(all)).toEqual([
      'checkout/batch_size',
      'embedder/batch_size',
      'embedder/ratio',
      'embedder/fast',
      'embedder/mode',
    ]);
    for (const selector of ['embedder', 'component=embedder', 'flagSetId=embedder'])
      expect(await sync(client, selector).configurations.next()).toMatchObject({
        'embedder/batch_size': { variants: { baseline: 8, 'rev-7': 16 }, defaultVariant: 'baseline' },
      });
    const { fetchAllFlags } = FlagSyncService.method;
    const fetched = await callUnary(
      client,
      fetchAllFlags,
      create(fetchAllFlags.input, { selector: 'checkout' }),
      5_000,
    );
    expect(Object.keys(JSON.parse(fetched.flagConfiguration).flags)).toEqual(['checkout/batch_size']);
  });

  test('names that lead nowhere are components that are not there, whatever they look like', async () => {
    const { client } = await served();
    for (const selector of [
      '../../etc/passwd',
      'embedder/../checkout',
      '__proto__',
      'x'.repeat(10_000),
      '\n{"forged":1}',
    ])
      expect(await sync(client, selector).configurations.next()).toEqual({});
  });

  test('a component of the configuration is tuned while a subscriber names it, and reports what was handed over', async () => {
    const { client, flags, inputs } = await served();
    const looking = sync(client, '');
    await looking.configurations.next();
    const own = sync(client, 'checkout');
    expect(await own.configurations.next()).toMatchObject({ 'checkout/batch_size': { variants: { baseline: 8 } } });
    expect(await inputs.next()).toMatchObject({
      kind: 'session',
      event: 'opened',
      manifest: { component: 'checkout' },
    });
    expect(flags.perform({ kind: 'command', command: command({ component: 'embedder' }) })).toBe(false);
    flags.perform({ kind: 'command', command: command({ component: 'checkout', revision: 3 }) });
    expect(await own.configurations.next()).toMatchObject({
      'checkout/batch_size': { variants: { baseline: 8, 'rev-3': 16 } },
    });
    expect(await inputs.next()).toMatchObject({ kind: 'result', results: [{ state: 'applied', effectiveValue: 16 }] });
    own.cancel();
    expect(await inputs.next()).toMatchObject({ kind: 'session', event: 'closed' });
  });

  test('nobody else may hold the session of a component that is tuned by its flags', async () => {
    const { rig } = await served();
    const intruder = new RawClient(rig.address);
    open.push(() => intruder.close());
    intruder.hello({ component: 'checkout' });
    expect(await intruder.ended).toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining('by way of feature flags'),
    });
  });

  test('beyond 128 subscribers the next is refused', async () => {
    const { client } = await served();
    const subscribed = Array.from({ length: 128 }, () => sync(client, ''));
    await Promise.all(subscribed.map(({ configurations }) => configurations.next()));
    expect(await sync(client, '').ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});

describe('roles', () => {
  const token = 'a-token-of-the-embedder';
  const access = {
    socket: 'operator',
    loopback: 'nobody',
    operators: [],
    processes: [{ component: 'embedder', token }],
  } as const;

  test('a process reads the flags of its own component and of no other', async () => {
    const { client, rig } = await served({ access });
    expect(await sync(client, '').ended).toMatchObject({ code: status.UNAUTHENTICATED });
    const known = new Client(rig.address, credentials.createInsecure(), withToken({ token }));
    open.push(() => known.close());
    expect(await sync(known, 'checkout').ended).toMatchObject({ code: status.PERMISSION_DENIED });
    const { resolveInt } = EvaluationV2.method;
    const question = create(resolveInt.input, { flagKey: 'checkout/batch_size' });
    expect(await failure(callUnary(known, resolveInt, question, 5_000))).toMatchObject({ code: status.NOT_FOUND });
    const all = Object.keys(await sync(known, '').configurations.next());
    expect(all.every((key) => key.startsWith('embedder/'))).toBe(true);
    expect(all).toHaveLength(4);
  });
});

// The versions differ in what may be absent, which the types tell apart and the questions here do not.
const versions = [EvaluationV1, EvaluationV2 as unknown as typeof EvaluationV1];

describe.each(versions)('the evaluation protocol, $typeName', ({ method }) => {
  type Question = Exclude<(typeof method)[keyof typeof method], typeof method.resolveAll | typeof method.eventStream>;
  const ask = (client: Client, rpc: Question, flagKey: string) =>
    callUnary<DescMessage, DescMessage>(client, rpc, create<DescMessage>(rpc.input, { flagKey }), 5_000);

  test('gives each value with its revision', async () => {
    const { client } = await served();
    expect(await ask(client, method.resolveInt, 'embedder/batch_size')).toMatchObject({ value: 16n, variant: 'rev-7' });
    expect(await ask(client, method.resolveFloat, 'embedder/ratio')).toMatchObject({ value: 0.25, variant: 'rev-9' });
    expect(await ask(client, method.resolveBoolean, 'embedder/fast')).toMatchObject({ value: true });
    expect(await ask(client, method.resolveString, 'embedder/mode')).toMatchObject({
      value: 'safe',
      variant: 'baseline',
      reason: 'DEFAULT',
    });
    const { flags } = await callUnary(client, method.resolveAll, create(method.resolveAll.input), 5_000);
    expect(flags['embedder/batch_size']).toMatchObject({ value: { case: 'doubleValue', value: 16 }, variant: 'rev-7' });
  });

  test('says what is wrong with a question', async () => {
    const { client } = await served();
    expect(await failure(ask(client, method.resolveInt, 'embedder/nope\n'))).toEqual({
      code: status.NOT_FOUND,
      details: 'FLAG_NOT_FOUND: there is no flag "embedder/nope\\n"',
    });
    for (const [rpc, key] of [
      [method.resolveBoolean, 'embedder/batch_size'],
      [method.resolveInt, 'embedder/ratio'],
      [method.resolveObject, 'embedder/batch_size'],
    ] as const)
      expect(await failure(ask(client, rpc, key))).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test('tells its readers when a value changes, and not when a lease is renewed', async () => {
    const { client, flags } = await served();
    const events = new Arrivals<{ readonly type: string; readonly data?: unknown }>();
    const stream = callServerStream(client, method.eventStream, create(method.eventStream.input));
    stream.on('data', events.push);
    stream.on('error', () => {});
    expect(await events.next()).toMatchObject({ type: 'provider_ready' });
    const own = sync(client, 'checkout');
    await own.configurations.next();
    flags.perform({ kind: 'command', command: command({ component: 'checkout', revision: 3 }) });
    expect(await events.next()).toMatchObject({
      type: 'configuration_change',
      data: { flags: { 'checkout/batch_size': { type: 'update' } } },
    });
    flags.perform({ kind: 'renewal', component: 'checkout', epoch: 1, revision: 3, leaseTtlMs: 120_000 });
    await own.configurations.next();
    await own.configurations.next();
    expect(events.all).toHaveLength(2);
  });
});
