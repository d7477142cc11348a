import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { runCommandLine } from '../../agent/command/command.ts';
import type { KnobSpec } from '../../agent/core/model.ts';
import {
  GetSnapshotResponseSchema,
  TuningService,
} from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { encodeSpec, encodeValue } from '../../agent/rpc/knob_codec.ts';
import { serviceDefinition } from '../../agent/rpc/service_definition.ts';
import { modeWords, tierWords } from '../../agent/rpc/words.ts';

const base = {
  description: '',
  unit: '',
  role: 'batch',
  applyClass: 'hot',
  settleMs: 0,
  ceilingAtBoot: false,
} as const;
const batchSize: KnobSpec = { ...base, id: 'batch_size', type: 'int', min: 1, max: 64, scale: 'log', baseline: 8 };
const wait: KnobSpec = { ...base, id: 'wait', type: 'duration', min: 0, max: 1, scale: 'linear', baseline: 0.5 };
const policy: KnobSpec = { ...base, id: 'policy', type: 'enum', values: ['fifo', 'lifo'], baseline: 'fifo' };

const server = new Server();
let address = '';
let asked: { name: string; request: Record<string, unknown> }[] = [];
beforeEach(() => {
  asked = [];
});

/** An agent that writes down what it is asked, and refuses proposal `gone`. */
beforeAll(async () => {
  const answer =
    ({ localName: name, output }: (typeof TuningService.methods)[number]) =>
    (call: ServerUnaryCall<Record<string, unknown>, unknown>, done: sendUnaryData<unknown>): void => {
      asked.push({ name, request: call.request });
      if (name === 'getSnapshot') return done(null, snapshot());
      if (call.request.proposalId === 'gone') {
        return done({ code: status.FAILED_PRECONDITION, details: 'proposal gone: unknown; open ones: p1\u001b[2J' });
      }
      done(null, Object.assign(create(output), { message: `${name} done\u001b[2J` }));
    };
  const handlers = TuningService.methods.map((method) => [method.localName, answer(method)]);
  server.addService(serviceDefinition(TuningService), Object.fromEntries(handlers));
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  address = `127.0.0.1:${port}`;
});
afterAll(() => server.forceShutdown());

function snapshot() {
  const status = (spec: KnobSpec) => ({
    spec: encodeSpec(spec),
    desired: encodeValue(spec.baseline, spec.type),
    effective: encodeValue(spec.baseline, spec.type),
    mode: modeWords.encode('auto'),
  });
  return create(GetSnapshotResponseSchema, {
    epoch: 42n,
    components: [
      {
        component: 'embedder',
        tier: tierWords.encode('stable'),
        connected: true,
        knobs: [batchSize, wait, policy].map(status),
        revisions: [
          { revision: 2n, time: { seconds: 0n }, decisionId: 'd7-3', setting: { wait: encodeValue(1, 'duration') } },
        ],
        proposals: [
          { proposalId: 'p1', strategy: 'human', setting: { wait: encodeValue(0, 'duration') }, reason: 'why not' },
        ],
        proven: [
          {
            ...{ point: 'o-t7', time: { seconds: 0n }, trialId: 't7', strategy: 'probing' },
            setting: { wait: encodeValue(2, 'duration') },
            objectives: { responseTimeP95: { estimate: -0.2, low: -0.3, high: -0.1 } },
          },
        ],
        openTrial: { trialId: 't1', strategy: 'probing', blocks: 3 },
      },
    ],
  });
}

async function perfopt(...argv: string[]) {
  return perfoptAsking(undefined, ...argv);
}

/** `human`: what they answer to every question; nobody is there without. */
async function perfoptAsking(human: boolean | undefined, ...argv: string[]) {
  const questions: string[] = [];
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine({
    argv,
    environment: { PERFOPT_CONTROL_ADDRESS: address },
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    hasColours: false,
    onSignal: () => () => undefined,
    exit: () => undefined,
    ...(human !== undefined && {
      confirm: async (question: string) => {
        questions.push(question);
        return human;
      },
    }),
  });
  return { questions, code, out: out.join('\n'), err: err.join('\n') };
}

test.each([
  [['approve', 'p1'], 'approve', { proposalId: 'p1' }],
  [['reject', 'p1', '--reason', 'too late'], 'reject', { proposalId: 'p1', reason: 'too late' }],
  [['mode', 'embedder', 'approve'], 'setMode', { component: 'embedder', knob: '', mode: modeWords.encode('approve') }],
  [
    ['mode', 'embedder', 'wait', 'observe'],
    'setMode',
    { component: 'embedder', knob: 'wait', mode: modeWords.encode('observe') },
  ],
  [['pin', 'embedder', 'wait'], 'pin', { component: 'embedder', knob: 'wait' }],
  [['pin', 'embedder', 'batch_size', '16'], 'pin', { value: encodeValue(16, 'int') }],
  [['pin', 'embedder', 'wait', '1'], 'pin', { value: encodeValue(1, 'duration') }],
  [['pin', 'embedder', 'policy', 'lifo'], 'pin', { value: encodeValue('lifo') }],
  [['unpin', 'embedder', 'wait', '--yes'], 'unpin', { component: 'embedder', knob: 'wait' }],
  [['freeze', '--reason', 'release', '-y'], 'freeze', { component: '', reason: 'release' }],
  [
    ['propose', 'embedder', 'batch_size=16', 'policy=lifo', '--reason', 'why not'],
    'propose',
    {
      component: 'embedder',
      reason: 'why not',
      changes: [
        { knob: 'batch_size', value: encodeValue(16, 'int') },
        { knob: 'policy', value: encodeValue('lifo') },
      ],
    },
  ],
  [['rollback', 'embedder', '--yes'], 'rollback', { component: 'embedder', toRevision: 0n, toDecision: '' }],
  [['choose', 'embedder', 'o-t7', '-y'], 'choose', { component: 'embedder', point: 'o-t7' }],
  [['rollback', 'embedder', '3', '-y'], 'rollback', { toRevision: 3n, toDecision: '' }],
  [['rollback', 'embedder', 'd7-3', '-y'], 'rollback', { toRevision: 0n, toDecision: 'd7-3' }],
  [['unfreeze', 'embedder'], 'unfreeze', { component: 'embedder' }],
])('perfopt %j asks the agent to %s', async (argv, name, request) => {
  expect(await perfopt(...argv)).toEqual({ code: 0, out: `${name} done [2J`, err: '', questions: [] });
  expect(asked.at(-1)).toMatchObject({ name, request });
  expect(asked.at(-1)?.request.by).toMatch(/./);
});

test.each([
  [['approve', 'gone'], 'proposal gone: unknown; open ones: p1 [2J'],
  [['pin', 'embedder', 'batch_size', '65'], 'knob batch_size: 65 is outside 1 to 64'],
  [['pin', 'embedder', 'batch_size', 'many'], 'knob batch_size: "many" is not a finite number'],
  [['pin', 'embedder', 'policy', 'filo'], 'is not one of fifo, lifo'],
  [['pin', 'embedder', 'size', '1'], 'no knob size; knobs: batch_size, wait, policy'],
  [['propose', 'embedder', 'batch_size=65', '--reason', 'r'], 'knob batch_size: 65 is outside 1 to 64'],
  [['pin', 'ranker', 'size', '1'], 'no component ranker; `perfopt snapshot` lists what there is'],
])('perfopt %j is refused with what is allowed, and sets nothing', async (argv, expected) => {
  const { code, out, err } = await perfopt(...argv);
  expect(err).toContain(expected);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(asked.filter(({ name }) => name === 'pin')).toEqual([]);
});

test('what is dangerous is asked, and done only on a yes', async () => {
  const refused = await perfopt('freeze', '--reason', 'release');
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('say that it is meant with --yes') });
  expect(await perfoptAsking(false, 'unpin', 'embedder', 'wait')).toMatchObject({ code: 1 });
  expect(asked).toEqual([]);
  const question = 'the tuner may move wait of embedder again. Go on? [y/N] ';
  expect(await perfoptAsking(true, 'unpin', 'embedder', 'wait')).toMatchObject({ code: 0, questions: [question] });
  expect(asked).toMatchObject([{ name: 'unpin' }]);
});

test('a dry run asks the agent what it would do, and no human', async () => {
  const { code, out } = await perfopt('freeze', '--reason', 'release', '--dry-run');
  expect({ code, out }).toEqual({ code: 0, out: 'nothing was done; it would be: freeze done [2J' });
  expect(asked.at(-1)?.request).toMatchObject({ validateOnly: true });
  const { out: json } = await perfopt('pin', 'embedder', 'wait', '--json');
  expect(JSON.parse(json)).toEqual({ message: 'pin done\u001b[2J', dryRun: false });
});

test('snapshot shows components, knobs and the open trial', async () => {
  const { code, out } = await perfopt('snapshot');
  expect(code).toBe(0);
  expect(out).toContain('epoch 42');
  expect(out).toContain('embedder (stable, connected)');
  expect(out).toMatch(/batch_size +8 +8 +auto/);
  expect(out).toContain('trial t1 (probing), 3 blocks');
  expect(out).toContain('revision 2 since 1970-01-01 00:00:00Z, by d7-3: wait 1');
  expect(out).toContain('proposal p1 (human) waits for approval: wait 0: why not');
  expect(JSON.parse((await perfopt('snapshot', 'embedder', '--json')).out)).toMatchObject({ epoch: '42' });
});

test('pareto lists proven settings with their effects, and how to take one', async () => {
  const { code, out } = await perfopt('pareto', 'embedder');
  expect(code).toBe(0);
  expect(out.split('\n')[0]).toMatch(/point\s+proven\s+responseTimeP95\s+setting/);
  expect(out).toMatch(/o-t7\s+1970.*−20\.0 % \[−30\.0 %, −10\.0 %\]\s+wait 2/);
  expect(JSON.parse((await perfopt('pareto', 'embedder', '--json')).out)).toMatchObject([{ point: 'o-t7' }]);
});

test('no agent there: says where it looked and what to do', async () => {
  const { code, err } = await perfopt('snapshot', '--address', 'unix:/nonexistent/control.sock');
  expect(code).toBe(1);
  expect(err).toBe(
    'no agent answers at unix:/nonexistent/control.sock: start one with `perfopt run`, or say where with --address',
  );
});
