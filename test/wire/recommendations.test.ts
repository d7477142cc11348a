import { Client, credentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import type { Recommendation } from '../../agent/core/advice/recommendation.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeTimeMs, decodeValue } from '../../agent/rpc/knob_codec.ts';
import { perfopt } from './command_rig.ts';
import { ask, startRig } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const context: Recommendation = {
  ...{ id: 'r7-1', component: 'chat', source: 'strategy', optimization: 'Memory Optimization' },
  reason: 'a third of the context is never used',
  steps: [
    { kind: 'knob', text: 'max_model_len: 8192 → 4096 (at the next start)' },
    { kind: 'flag', text: '--max-model-len 4096' },
    { kind: 'manifest', text: 'env:\n  - name: MAX_MODEL_LEN\n    value: "4096"' },
  ],
  changes: [{ knob: 'max_model_len', from: 8_192, to: 4_096 }],
  signals: { usedRatio: 0.66 },
  ...{ sinceMs: Date.UTC(2026, 10, 23, 12, 0, 1), seenMs: Date.UTC(2026, 10, 24) },
  expected: { estimate: 0.1, low: -0.02, high: 0.21, samples: 4, kept: 3, basis: 'strategy' },
  confidence: 4 / 6,
};
const limit: Recommendation = {
  ...{ id: 'r7-2', component: 'batch\u001b[31m', source: 'bottleneck', optimization: 'Raise the CPU limit' },
  ...{ reason: 'it is throttled', steps: [], changes: [], signals: {}, sinceMs: 0, seenMs: 0 },
};

async function agent(all: readonly Recommendation[]): Promise<string> {
  const list = (component?: string) => all.filter((one) => component === undefined || one.component === component);
  const rig = await startRig({ listen: ['127.0.0.1:0'] }, { advice: { list } });
  cleanups.push(rig.stop);
  return rig.address;
}

test('ListRecommendations gives everything, to the bit', async () => {
  const client = new Client(await agent([context, limit]), credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  cleanups.push(() => client.close());
  const list = (component: string) => ask(client, TuningService.method.listRecommendations, { component });
  const { recommendations } = await list('');
  expect(recommendations).toHaveLength(2);
  const [first, second] = recommendations;
  expect(first).toMatchObject({
    ...{ id: 'r7-1', component: 'chat', source: 'strategy', optimization: 'Memory Optimization', proposalId: '' },
    ...{ signals: context.signals, confidence: 4 / 6, expected: context.expected, steps: context.steps },
  });
  expect(decodeTimeMs(first!.since!)).toBe(context.sinceMs);
  expect(decodeValue(first!.changes[0]!.to)).toBe(4_096);
  expect(second?.expected).toBeUndefined();
  expect(second?.confidence).toBeUndefined();
  expect((await list('chat')).recommendations.map(({ id }) => id)).toEqual(['r7-1']);
});

test('perfopt recommendations says what, why, how, and what to expect', async () => {
  const address = await agent([context, limit]);
  const { code, out } = await perfopt('recommendations', '--address', address);
  expect(code).toBe(0);
  expect(out.split('\n')).toEqual([
    'chat: Memory Optimization (r7-1, strategy, since 2026-11-23 12:00:01Z)',
    '  a third of the context is never used',
    '  expected: objective −10.0 % (−21.0 % to +2.0 %, 95 % interval of 4 comparable trials, 3 kept); confidence 0.67',
    '  knob         max_model_len: 8192 → 4096 (at the next start)',
    '  flag         --max-model-len 4096',
    '  manifest',
    '    env:',
    '      - name: MAX_MODEL_LEN',
    '        value: "4096"',
    '',
    'batch [31m: Raise the CPU limit (r7-2, bottleneck, since 1970-01-01 00:00:00Z)',
    '  it is throttled',
  ]);
  const json = JSON.parse((await perfopt('recommendations', 'chat', '--json', '--address', address)).out);
  expect(json.recommendations).toMatchObject([{ id: 'r7-1', expected: { samples: 4 } }]);
  expect((await perfopt('recommendations', '--address', await agent([]))).out).toBe('nothing is recommended');
});
