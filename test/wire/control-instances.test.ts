/** Several processes that say they are the same component: the workers of a prefork server. */
import { status } from '@grpc/grpc-js';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { ControlInput } from '../../agent/adapters/control/ports.ts';
import { connectTuner, type Knob, type TunerStatus } from '../../agent/client/typescript/tuner.ts';
import { createEngine } from '../../agent/core/engine.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { Runtime } from '../../agent/runtime.ts';
import { Arrivals, command, intKnob, RawClient, type Rig, startRig } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function rig(inbox?: (input: ControlInput) => void): Promise<Rig> {
  const started = await startRig({ listen: ['127.0.0.1:0'] }, inbox && { inbox });
  cleanups.push(() => started.stop());
  return started;
}

interface Worker {
  readonly batch: Knob<number>;
  readonly told: Arrivals<number>;
  leave(): void;
}

async function worker(address: string, listener: (value: number) => void | Promise<void> = () => {}): Promise<Worker> {
  const states = new Arrivals<TunerStatus>();
  const told = new Arrivals<number>();
  const options = { component: 'embedder', tier: 'advanced', address, random: () => 0 } as const;
  const tuner = await connectTuner({ ...options, onStatus: states.push });
  cleanups.push(() => tuner.close());
  const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
  batch.onChange(async (value) => {
    await listener(value);
    told.push(value);
  });
  await states.first(({ state }) => state === 'connected');
  return { batch, told, leave: () => tuner.close() };
}

function raw(address: string): RawClient {
  const client = new RawClient(address);
  cleanups.push(() => client.close());
  return client;
}

const isOpened = (input: ControlInput) => input.kind === 'session' && input.event === 'opened';
const isResult = (input: ControlInput): input is ControlInput & { kind: 'result' } => input.kind === 'result';
const held = (value: bigint, revision: bigint) => ({
  ...{ knob: 'batch_size', value: { kind: { case: 'intValue' as const, value } }, epoch: 1n, revision },
});

describe('workers of one component', () => {
  test('get the same commands, and a change is in force when it is at all of them', async () => {
    const { server, inbox, address } = await rig();
    let agree = (): void => {};
    const slow = new Promise<void>((resolve) => {
      agree = resolve;
    });
    const [a, b] = [await worker(address), await worker(address, () => slow)];
    server.perform({ kind: 'command', command: command() });
    await a.told.first((value) => value === 16);
    // The one that is quick has answered when a second command to a component beside them has.
    const other = raw(address);
    await other.welcomed({ component: 'other', instanceUid: 'o' });
    expect(inbox.all.filter(isResult)).toEqual([]);
    agree();
    expect(await inbox.first(isResult)).toMatchObject({
      commandId: 'embedder/1/1',
      results: [{ knob: 'batch_size', state: 'applied', effectiveValue: 16, effectiveRevision: 1 }],
    });
    expect([a.batch.value, b.batch.value]).toEqual([16, 16]);
    expect(inbox.all.filter(isResult)).toHaveLength(1);
  });

  test('that hold different values at a renewal are reported as holding none of ours', async () => {
    const { server, inbox, address } = await rig();
    const [a, b] = [raw(address), raw(address)];
    await a.welcomed({ instanceUid: 'a', held: [held(16n, 1n)] });
    await b.welcomed({ instanceUid: 'b', held: [held(16n, 1n)] });
    server.perform({ kind: 'renewal', component: 'embedder', epoch: 1, revision: 1, leaseTtlMs: 15_000 });
    await b.received.first(({ case: kind }) => kind === 'leaseRenewal');
    a.send({ case: 'holding', value: { held: [held(16n, 1n)] } });
    b.send({ case: 'holding', value: { held: [] } });
    const isHolding = (input: ControlInput): input is ControlInput & { kind: 'holding' } => input.kind === 'holding';
    await inbox.first((input) => isHolding(input) && input.held.some(({ epoch }) => epoch === 0));
    expect(inbox.all.filter(isHolding).at(-1)?.held).toEqual([
      { knob: 'batch_size', value: 16, epoch: 0, revision: 1, manual: false },
    ]);
  });

  test('are each known as a process, as long as they are there', async () => {
    const { server, inbox, address } = await rig();
    const of = (instanceUid: string, pid: string) => ({
      ...{ component: 'embedder', instanceUid, resource: { 'process.pid': pid } },
    });
    await raw(address).welcomed(of('a', '41'));
    const leaving = raw(address);
    await leaving.welcomed(of('b', '42'));
    await raw(address).welcomed({ component: 'silent', instanceUid: 'c' });
    expect(server.processes()).toEqual([
      { component: 'embedder', pid: 41 },
      { component: 'embedder', pid: 42 },
    ]);
    const before = inbox.all.length;
    leaving.stream.end();
    await inbox.first((input) => inbox.all.indexOf(input) >= before && isOpened(input));
    expect(server.processes()).toEqual([{ component: 'embedder', pid: 41 }]);
  });

  test('a change that one of them refuses is refused, and it says which', async () => {
    const { server, inbox, address } = await rig();
    await worker(address);
    await worker(address, () => {
      throw new Error('no memory here');
    });
    server.perform({ kind: 'command', command: command() });
    const { results } = await inbox.first(isResult);
    expect(results).toMatchObject([{ state: 'rejected_permanent', effectiveValue: 8 }]);
    expect(results[0]?.error).toMatch(/^instance "[0-9a-f-]{36}": no memory here$/);
  });

  test('one that leaves ends the session, which begins again with those that remain', async () => {
    const { server, inbox, address } = await rig();
    const [a] = [await worker(address), await worker(address)];
    server.perform({ kind: 'command', command: command() });
    await inbox.first(isResult);
    a.leave();
    const left = await inbox.first((input) => input.kind === 'session' && input.event === 'closed');
    expect(inbox.all.slice(inbox.all.indexOf(left))).toMatchObject([
      { event: 'closed', reason: expect.stringContaining('Bye') },
      { event: 'opened', manifest: { held: [{ knob: 'batch_size', value: 16, epoch: 1, revision: 1 }] } },
    ]);
    server.perform({
      kind: 'command',
      command: command({ revision: 2, changes: [{ knob: 'batch_size', value: 32 }] }),
    });
    const second = await inbox.first((input) => isResult(input) && input.commandId === 'embedder/1/2');
    expect(second).toMatchObject({ results: [{ state: 'applied', effectiveValue: 32 }] });
  });

  test('what they hold unlike, and knobs that not all declare alike, are not taken for the component’s', async () => {
    const { inbox, address } = await rig();
    const first = raw(address);
    await first.welcomed({
      ...{ instanceUid: 'a', incarnation: 5n, tier: 5 },
      knobs: [intKnob('batch_size'), intKnob('only_a')],
      held: [held(16n, 3n)],
    } as never);
    const second = raw(address);
    await second.welcomed({ instanceUid: 'b', incarnation: 9n, tier: 2, capabilities: [] });
    const both = await inbox.first((input) => isOpened(input) && inbox.all.filter(isOpened).length === 2);
    expect([both, inbox.all.filter(isOpened)[1]]).toHaveLength(2);
    expect(inbox.all.filter(isOpened)[1]).toMatchObject({
      manifest: {
        ...{ tier: 'stable', incarnation: 5, validates: false },
        knobs: [{ id: 'batch_size' }],
        // Under an epoch that is nobody's, so that the engine commands it anew.
        held: [{ knob: 'batch_size', value: 16, epoch: 0, revision: 3, manual: false }],
      },
    });
  });

  test('another session of the same instance takes its place, and not its siblings’', async () => {
    const { address } = await rig();
    const [a, b, again] = [raw(address), raw(address), raw(address)];
    await a.welcomed({ instanceUid: 'a' });
    await b.welcomed({ instanceUid: 'b' });
    await again.welcomed({ instanceUid: 'a', incarnation: 2n });
    expect(await a.ended).toMatchObject({ code: status.ABORTED, details: expect.stringContaining('same instance') });
    b.hello({ instanceUid: 'b' });
    await b.received.first((message) => message.case === 'welcome' && b.received.all.indexOf(message) > 0);
  });
});

test('with the real engine: all are brought to where the component is, a newcomer and a hand included', async () => {
  const engine = createEngine({
    settings: { ...DEFAULT_ENGINE_SETTINGS, optimization: { ...DEFAULT_ENGINE_SETTINGS.optimization, enabled: false } },
    ...{ seed: 1, epoch: 1 },
  });
  const runtime = new Runtime({
    engine,
    journal: { commit: () => {} },
    clock: { nowMs: () => Date.now() },
    ...{ tickMs: 10, maxQueuedPoints: 1_000, log: pino({ level: 'silent' }) },
    perform: (effect) => void (effect.kind !== 'decision' && server.perform(effect)),
  });
  const { server, address } = await rig((input) => runtime.post(input));
  runtime.start();
  cleanups.push(() => runtime.stop());
  const [a, b] = [await worker(address), await worker(address)];
  const pin = { action: 'pin', component: 'embedder', knob: 'batch_size', value: 16 } as const;
  runtime.post({ kind: 'operator', request: { ...pin, requestId: 'r', by: 'op' } });
  await Promise.all([a, b].map(({ told }) => told.first((value) => value === 16)));
  const c = await worker(address);
  await c.told.first((value) => value === 16);
  b.batch.set(24);
  await Promise.all([a, c].map(({ told }) => told.first((value) => value === 24)));
  a.leave();
  runtime.post({ kind: 'operator', request: { ...pin, value: 32, requestId: 's', by: 'op' } });
  await Promise.all([b, c].map(({ told }) => told.first((value) => value === 32)));
  // What each was told, in order: a value counts when its listener has agreed.
  expect([a, b, c].map(({ told }) => told.all.filter((value, i, all) => value !== all[i - 1]))).toEqual([
    expect.arrayContaining([16, 24]),
    expect.arrayContaining([16, 24, 32]),
    [16, 24, 32],
  ]);
});
