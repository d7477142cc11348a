import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { ControlPorts, Snapshot } from '../../agent/adapters/control/ports.ts';
import { DEFAULT_CONTROL_LIMITS } from '../../agent/adapters/control/ports.ts';
import type { After } from '../../agent/adapters/control/timer.ts';
import type { Decision, OptimizerEvent } from '../../agent/core/model.ts';
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../agent/gen/grpc/health/v1/health_pb.ts';
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from '../../agent/gen/grpc/reflection/v1/reflection_pb.ts';
import { KnobMode } from '../../agent/gen/performance_optimizer/control/v1/knob_pb.ts';
import {
  TuningService,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
} from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callBidi, callServerStream } from '../../agent/rpc/calls.ts';
import { Arrivals, ask, RawClient, type Rig, startRig } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function agent(
  ports: Partial<ControlPorts> = {},
  limits = DEFAULT_CONTROL_LIMITS,
  after?: After,
): Promise<Rig & { client: Client }> {
  const started = await startRig({ listen: ['127.0.0.1:0'], epoch: 7, limits, ...(after && { after }) }, ports);
  const client = new Client(started.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  cleanups.push(started.stop, () => client.close());
  return { ...started, client };
}

const { method } = TuningService;
const FOUR = { kind: { case: 'intValue' as const, value: 4n } };

const SNAPSHOT: Snapshot = {
  atMs: 1_700_000_000_123,
  frozen: false,
  components: [
    {
      component: 'asr',
      tier: 'stable',
      connected: false,
      frozen: true,
      knobs: [],
      revisions: [],
      proposals: [],
      proven: [],
    },
    {
      component: 'embedder',
      tier: 'advanced',
      connected: true,
      frozen: false,
      knobs: [
        {
          spec: {
            id: 'batch_size',
            description: 'items a batch',
            unit: '1',
            role: 'batch',
            applyClass: 'hot',
            settleMs: 500,
            ceilingAtBoot: false,
            type: 'int',
            min: 1,
            max: 64,
            scale: 'log',
            baseline: 8,
          },
          desired: 16,
          effective: 8,
          mode: 'auto',
          pinned: false,
          attemptedRevision: 4,
          effectiveRevision: 3,
          lastError: 'not while loading',
        },
      ],
      openTrial: {
        trialId: 't-1',
        strategy: 'spsa',
        startMs: 1_700_000_000_000,
        changes: [{ knob: 'batch_size', from: 8, to: 16 }],
        blocks: 3,
      },
      revisions: [
        { revision: 1, atMs: 1_600_000_000_000, setting: { batch_size: 4 } },
        { revision: 2, atMs: 1_650_000_000_000, decisionId: 'd-0', setting: { batch_size: 8 } },
      ],
      proposals: [
        { id: 'p-1', strategy: 'human', atMs: 1_700_000_000_000, setting: { batch_size: 32 }, reason: 'more' },
      ],
      proven: [
        {
          ...{ id: 'o-t-1', atMs: 1_700_000_000_000, trialId: 't-1', strategy: 'spsa', setting: { batch_size: 16 } },
          objectives: { responseTimeP95: { estimate: -0.2, low: -0.3, high: -0.1 } },
        },
      ],
    },
  ],
};

const DECISION: Decision = {
  id: 'd-1',
  atMs: 1_700_000_000_000,
  component: 'embedder',
  kind: 'promoted',
  strategy: 'spsa',
  trialId: 't-1',
  changes: [{ knob: 'batch_size', from: 8, to: 16 }],
  reason: '21 % lower over seven blocks',
  evidence: {
    objective: { responseTimeMean: 1 },
    blocks: [{ order: 'ABB', startMs: 1_700_000_000_000, endMs: 1_700_000_001_000, y: [1, 2, 3], difference: -0.2 }],
    effect: { estimate: -0.21, low: -0.3, high: -0.1, confidence: 0.95, blocks: 7 },
    signals: { latencyMsP95: 12.5 },
    alternatives: ['stay'],
  },
};

describe('what operators can see', () => {
  test('the snapshot, whole or of one component', async () => {
    const { client } = await agent({ snapshot: () => SNAPSHOT });
    const all = await ask(client, method.getSnapshot, {});
    expect(all.epoch).toBe(7n);
    expect(all.components.map(({ component }) => component)).toEqual(['asr', 'embedder']);
    const one = await ask(client, method.getSnapshot, { component: 'embedder' });
    expect(one.components).toMatchObject([
      {
        connected: true,
        knobs: [
          {
            spec: { id: 'batch_size', domain: { case: 'intDomain', value: { min: 1, max: 64 } } },
            desired: { kind: { case: 'intValue', value: 16n } },
            effective: { kind: { case: 'intValue', value: 8n } },
            mode: KnobMode.AUTO,
            attemptedRevision: 4n,
            effectiveRevision: 3n,
            lastError: 'not while loading',
          },
        ],
        openTrial: { trialId: 't-1', blocks: 3, startTime: { seconds: 1_700_000_000n } },
        revisions: [{ revision: 1n }, { revision: 2n, setting: { batch_size: { kind: { value: 8n } } } }],
        proven: [{ point: 'o-t-1', trialId: 't-1', objectives: { responseTimeP95: { estimate: -0.2, low: -0.3 } } }],
        proposals: [{ proposalId: 'p-1', setting: { batch_size: { kind: { value: 32n } } } }],
      },
    ]);
  });

  test('decisions without their evidence, and one with all of it', async () => {
    const queries = new Arrivals<unknown>();
    const { client } = await agent({
      decisions: (query) => {
        queries.push(query);
        return [DECISION];
      },
      explain: (id) => (id === 'd-1' ? DECISION : undefined),
    });
    const { decisions } = await ask(client, method.listDecisions, { component: 'embedder', limit: 5_000 });
    expect(decisions).toMatchObject([{ id: 'd-1', kind: 'promoted', reason: DECISION.reason }]);
    expect(decisions[0]?.evidence).toBeUndefined();
    expect(queries.all).toEqual([{ component: 'embedder', limit: 1_000 }]);

    const { decision } = await ask(client, method.explainDecision, { decisionId: 'd-1' });
    expect(decision?.evidence).toMatchObject({
      effect: { estimate: -0.21, low: -0.3, high: -0.1, confidence: 0.95, blocks: 7 },
      blocks: [{ order: 'ABB', y: [1, 2, 3] }],
      signals: { latencyMsP95: 12.5 },
    });
    await expect(ask(client, method.explainDecision, { decisionId: 'nope' })).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: 'there is no decision "nope"',
    });
  });

  test('events as they happen, filtered, until the agent stops', async () => {
    const { client, server, stop } = await agent();
    const event = (type: OptimizerEvent['type'], component: string): OptimizerEvent => ({
      type,
      component,
      atMs: 1_700_000_000_000,
      data: { improvement: 0.2, missing: Number.NaN },
    });
    const request = create(WatchEventsRequestSchema, { component: 'embedder', types: ['optimization_applied'] });
    const stream = callServerStream(client, method.watchEvents, request);
    const events = new Arrivals<WatchEventsResponse>();
    stream.on('data', events.push);
    const ended = new Promise((resolve) => stream.on('error', resolve));
    await new Promise((resolve) => stream.once('metadata', resolve));
    server.perform({ kind: 'event', event: event('optimization_applied', 'other') });
    server.perform({ kind: 'event', event: event('trial_started', 'embedder') });
    server.perform({ kind: 'event', event: event('optimization_applied', 'embedder') });
    expect(await events.next()).toMatchObject({
      type: 'optimization_applied',
      component: 'embedder',
      data: { improvement: 0.2, missing: null },
    });
    await stop();
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(events.all).toHaveLength(1);
  });
});

describe('what operators can do', () => {
  const by = 'ann';
  const cases: [string, (client: Client) => Promise<{ message: string }>, object][] = [
    ['approve', (c) => ask(c, method.approve, { proposalId: 'p', by }), { action: 'approve', proposalId: 'p' }],
    [
      'reject',
      (c) => ask(c, method.reject, { proposalId: 'p', reason: 'no', by }),
      { action: 'reject', proposalId: 'p', reason: 'no' },
    ],
    [
      'set the mode of a component',
      (c) => ask(c, method.setMode, { component: 'e', mode: KnobMode.APPROVE, by }),
      { action: 'set_mode', component: 'e', mode: 'approve' },
    ],
    [
      'set the mode of a knob',
      (c) => ask(c, method.setMode, { component: 'e', knob: 'k', mode: KnobMode.OBSERVE, by }),
      { action: 'set_mode', component: 'e', knob: 'k', mode: 'observe' },
    ],
    [
      'pin where it is',
      (c) => ask(c, method.pin, { component: 'e', knob: 'k', by }),
      { action: 'pin', component: 'e', knob: 'k' },
    ],
    [
      'pin to a value',
      (c) => ask(c, method.pin, { component: 'e', knob: 'k', value: { kind: { case: 'intValue', value: 4n } }, by }),
      { action: 'pin', component: 'e', knob: 'k', value: 4 },
    ],
    [
      'unpin',
      (c) => ask(c, method.unpin, { component: 'e', knob: 'k', by }),
      { action: 'unpin', component: 'e', knob: 'k' },
    ],
    [
      'propose',
      (c) => ask(c, method.propose, { component: 'e', reason: 'why not', by, changes: [{ knob: 'k', value: FOUR }] }),
      { action: 'propose', component: 'e', changes: { k: 4 }, reason: 'why not' },
    ],
    [
      'roll back to a revision, only to hear what would be done',
      (c) => ask(c, method.rollback, { component: 'e', toRevision: 3n, by, validateOnly: true }),
      { action: 'rollback', component: 'e', toRevision: 3, dryRun: true },
    ],
    [
      'roll back to a decision',
      (c) => ask(c, method.rollback, { component: 'e', toDecision: 'd-1', by }),
      { action: 'rollback', component: 'e', toDecision: 'd-1' },
    ],
    [
      'choose',
      (c) => ask(c, method.choose, { component: 'e', point: 'o-t-1', by }),
      { action: 'choose', component: 'e', point: 'o-t-1' },
    ],
    ['freeze all', (c) => ask(c, method.freeze, { reason: 'launch', by }), { action: 'freeze', reason: 'launch' }],
    ['unfreeze one', (c) => ask(c, method.unfreeze, { component: 'e', by }), { action: 'unfreeze', component: 'e' }],
  ];

  test.each(cases)('%s: asks the engine, and says what it said', async (_, call, action) => {
    const { client, server, inbox } = await agent();
    const answer = call(client);
    const input = await inbox.first(({ kind }) => kind === 'operator');
    if (input.kind !== 'operator') throw new Error('unreachable');
    const { requestId, ...request } = input.request;
    expect(request).toEqual({ by, ...action });
    server.perform({ kind: 'reply', requestId, ok: true, message: 'done' });
    expect((await answer).message).toBe('done');
  });

  test('a proposal is answered with its id, and with the decision that records it', async () => {
    const { client, server, inbox } = await agent();
    const changes = [{ knob: 'k', value: FOUR }];
    const answer = ask(client, method.propose, { component: 'e', reason: 'why not', changes });
    const input = await inbox.first(({ kind }) => kind === 'operator');
    if (input.kind !== 'operator') throw new Error('unreachable');
    const { requestId } = input.request;
    server.perform({ kind: 'reply', requestId, ok: true, message: 'queued', proposalId: 'p-7', decisionId: 'd-9' });
    expect(await answer).toMatchObject({ message: 'queued', proposalId: 'p-7', decisionId: 'd-9' });
  });

  test('what the engine refuses fails with its reason', async () => {
    const { client, server, inbox } = await agent();
    const answer = ask(client, method.approve, { proposalId: 'p' });
    const input = await inbox.first(({ kind }) => kind === 'operator');
    if (input.kind !== 'operator') throw new Error('unreachable');
    expect(input.request.by).toBe('operator');
    const { requestId } = input.request;
    server.perform({ kind: 'reply', requestId, ok: false, message: 'there is no proposal "p"' });
    await expect(answer).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: 'there is no proposal "p"',
    });
    // An answer that comes twice, or to nobody, harms nobody.
    server.perform({ kind: 'reply', requestId, ok: true, message: 'again' });
  });

  test('an engine that does not answer, and one request too many', async () => {
    const limits = { ...DEFAULT_CONTROL_LIMITS, operatorDeadlineMs: 1_234, maxPendingRequests: 1 };
    const deadlines: (() => void)[] = [];
    const { client, inbox } = await agent({}, limits, (delayMs, run) => {
      if (delayMs === 1_234) deadlines.push(run);
      return () => {};
    });
    const unanswered = expect(ask(client, method.unfreeze, {})).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    await inbox.first(({ kind }) => kind === 'operator');
    await expect(ask(client, method.unfreeze, {})).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    deadlines[0]?.();
    await unanswered;
    expect(inbox.all).toHaveLength(1);
  });

  const mistakes: [string, (client: Client) => Promise<unknown>, string][] = [
    ['no mode', (c) => ask(c, method.setMode, { component: 'e' }), 'mode must be one of'],
    ['no component', (c) => ask(c, method.pin, { knob: 'k' }), 'component "" is not 1 to 200'],
    [
      'nothing to try',
      (c) => ask(c, method.propose, { component: 'e', reason: 'r' }),
      'changes has 0 entries; allowed are 1 to 256',
    ],
    [
      'a knob twice',
      (c) =>
        ask(c, method.propose, {
          ...{ component: 'e', reason: 'r' },
          changes: [
            { knob: 'k', value: FOUR },
            { knob: 'k', value: FOUR },
          ],
        }),
      'changes[1].knob "k" is named twice',
    ],
    ['no reason', (c) => ask(c, method.freeze, {}), 'reason "" is not 1 to 1024'],
    ['a name that forges a log line', (c) => ask(c, method.unfreeze, { by: 'ann\nroot' }), 'by "ann\\nroot" is not'],
    [
      'a value that is no number',
      (c) =>
        ask(c, method.pin, { component: 'e', knob: 'k', value: { kind: { case: 'doubleValue', value: Number.NaN } } }),
      'value must be finite',
    ],
  ];
  test.each(mistakes)('%s: refused with what is allowed, and never reaches the engine', async (_, call, problem) => {
    const { client, inbox } = await agent();
    await expect(call(client)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(problem),
    });
    expect(inbox.all).toEqual([]);
  });

  test('a new mode reaches the process in a new Welcome', async () => {
    let mode: 'auto' | 'observe' = 'auto';
    const { server, address } = await agent({
      component: (name) => {
        const [entry] = SNAPSHOT.components.filter(({ component }) => component === name);
        return entry && { ...entry, knobs: entry.knobs.map((knob) => ({ ...knob, mode })) };
      },
    });
    const process = new RawClient(address);
    cleanups.push(() => process.close());
    await process.welcomed();
    mode = 'observe';
    server.perform({ kind: 'reply', requestId: 'x', ok: true, message: '' });
    server.perform({ kind: 'reply', requestId: 'y', ok: true, message: '' });
    server.perform({ kind: 'revoke', component: 'embedder', epoch: 7, revision: 1, knobs: [], reason: '' });
    await process.received.first((message) => message.case === 'revoke');
    expect(process.received.all).toMatchObject([
      { case: 'welcome', value: { modes: { batch_size: KnobMode.AUTO } } },
      { case: 'welcome', value: { modes: { batch_size: KnobMode.OBSERVE } } },
      { case: 'revoke' },
    ]);
  });
});

describe('what stock tools need', () => {
  test.each(['', 'performance_optimizer.control.v1.ControlService', 'performance_optimizer.control.v1.TuningService'])(
    'health of "%s": serving',
    async (service) => {
      const { client } = await agent();
      expect((await ask(client, Health.method.check, { service })).status).toBe(Serving.SERVING);
    },
  );

  test('health of what is not there, and a watch that ends with the agent', async () => {
    const { client, stop } = await agent();
    await expect(ask(client, Health.method.check, { service: 'x' })).rejects.toMatchObject({ code: status.NOT_FOUND });
    const stream = callServerStream(client, Health.method.watch, create(HealthCheckRequestSchema));
    const states = new Arrivals<Serving>();
    stream.on('data', (answer) => states.push(answer.status));
    const ended = new Promise((resolve) => stream.on('error', resolve));
    expect(await states.next()).toBe(Serving.SERVING);
    await stop();
    expect(await states.next()).toBe(Serving.NOT_SERVING);
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
  });

  test('reflection: a client that knows nothing learns enough to call GetSnapshot', async () => {
    const { client } = await agent({ snapshot: () => SNAPSHOT });
    const stream = callBidi(client, ServerReflection.method.serverReflectionInfo);
    const answers = new Arrivals<ServerReflectionResponse>();
    stream.on('data', answers.push);
    const question = async (messageRequest: ServerReflectionRequest['messageRequest']) => {
      stream.write(create(ServerReflectionRequestSchema, { messageRequest }));
      return (await answers.next()).messageResponse;
    };
    const listed = await question({ case: 'listServices', value: '' });
    if (listed.case !== 'listServicesResponse') throw new Error(`answered ${listed.case}`);
    const names = listed.value.service.map(({ name }) => name);
    expect(names).toContain('performance_optimizer.control.v1.TuningService');
    expect(names).toContain('grpc.health.v1.Health');

    const described = await question({
      case: 'fileContainingSymbol',
      value: 'performance_optimizer.control.v1.TuningService.GetSnapshot',
    });
    if (described.case !== 'fileDescriptorResponse') throw new Error(`answered ${described.case}`);
    const files = described.value.fileDescriptorProto
      .map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
      .reverse();
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files }));
    const learned = registry.getService('performance_optimizer.control.v1.TuningService');
    expect(learned?.methods.map(({ name }) => name)).toContain('GetSnapshot');

    const byName = await question({ case: 'fileByFilename', value: 'performance_optimizer/control/v1/knob.proto' });
    expect(byName.case).toBe('fileDescriptorResponse');
    for (const unknown of [
      { case: 'fileByFilename' as const, value: '../../etc/passwd' },
      { case: 'fileContainingSymbol' as const, value: 'no.such.Thing' },
      {
        case: 'fileContainingExtension' as const,
        value: { $typeName: 'grpc.reflection.v1.ExtensionRequest' as const, containingType: 'a', extensionNumber: 1 },
      },
    ])
      expect(await question(unknown)).toMatchObject({ case: 'errorResponse', value: { errorCode: status.NOT_FOUND } });
    stream.end();
  });
});
