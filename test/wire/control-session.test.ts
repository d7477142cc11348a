import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { createControlServer } from '../../agent/adapters/control/control_server.ts';
import { type ControlInput, DEFAULT_CONTROL_LIMITS } from '../../agent/adapters/control/ports.ts';
import { connectTuner, TransientRejection, type Tuner, type TunerStatus } from '../../agent/client/typescript/tuner.ts';
import { KnobState } from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import {
  Arrivals,
  command,
  emptyPorts,
  intKnob,
  RawClient,
  type Rig,
  startRig,
  temporaryFolder,
} from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function rig(...args: Parameters<typeof startRig>): Promise<Rig> {
  const started = await startRig(...args);
  cleanups.push(() => started.stop());
  return started;
}

function folder(): string {
  const made = temporaryFolder();
  cleanups.push(() => made[Symbol.dispose]());
  return made.path;
}

async function embedder(
  address: string,
  component = 'embedder',
): Promise<{ tuner: Tuner; states: Arrivals<TunerStatus> }> {
  const states = new Arrivals<TunerStatus>();
  const tuner = await connectTuner({ component, tier: 'advanced', address, onStatus: states.push, random: () => 0 });
  cleanups.push(() => tuner.close());
  return { tuner, states };
}

function raw(address: string): RawClient {
  const client = new RawClient(address);
  cleanups.push(() => client.close());
  return client;
}

const isOpened = (input: ControlInput) => input.kind === 'session' && input.event === 'opened';
const isClosed = (input: ControlInput) => input.kind === 'session' && input.event === 'closed';
const isResult = (input: ControlInput): input is ControlInput & { kind: 'result' } => input.kind === 'result';

describe.each(['unix', 'tcp'])('a process over %s', (kind) => {
  const listen = () => (kind === 'unix' ? `unix:${join(folder(), 'run', 'control.sock')}` : '127.0.0.1:0');

  test('declares its knobs, is welcomed, is commanded, and answers with what is in force', async () => {
    const { server, inbox, address } = await rig({ listen: [listen()] });
    const { tuner, states } = await embedder(address);
    const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64, scale: 'log' });
    const wait = tuner.duration('queue_timeout', { default: 0.5, min: 0.01, max: 10 });

    const opened = await inbox.first(isOpened);
    expect(opened).toMatchObject({
      manifest: {
        component: 'embedder',
        tier: 'advanced',
        pid: process.pid,
        knobs: [
          { id: 'batch_size', type: 'int', min: 1, max: 64, scale: 'log', baseline: 8 },
          { id: 'queue_timeout', type: 'duration', unit: 's', baseline: 0.5 },
        ],
        held: [],
      },
    });
    await states.first(({ state }) => state === 'connected');

    const changes = [
      { knob: 'batch_size', value: 16, expectedCurrent: 8 },
      { knob: 'queue_timeout', value: 0.123456789012345 },
    ];
    server.perform({ kind: 'command', command: command({ changes }) });
    const result = await inbox.first(isResult);
    expect(result).toEqual({
      kind: 'result',
      component: 'embedder',
      commandId: 'embedder/1/1',
      results: [
        { knob: 'batch_size', state: 'applied', effectiveValue: 16, attemptedRevision: 1, effectiveRevision: 1 },
        {
          knob: 'queue_timeout',
          state: 'applied',
          effectiveValue: 0.123456789012345,
          attemptedRevision: 1,
          effectiveRevision: 1,
        },
      ],
    });
    expect([batch.value, wait.value]).toEqual([16, 0.123456789012345]);
  });
});

describe('what the process says to a command', () => {
  test('a listener that throws refuses for good, a TransientRejection refuses for now', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
    batch.onChange((value) => {
      if (value > 32) throw new Error('the model was compiled for 32');
      if (value > 16) throw new TransientRejection('not while loading');
    });
    await states.first(({ state }) => state === 'connected');

    server.perform({
      kind: 'command',
      command: command({ revision: 1, changes: [{ knob: 'batch_size', value: 33 }] }),
    });
    server.perform({
      kind: 'command',
      command: command({ revision: 2, changes: [{ knob: 'batch_size', value: 20 }] }),
    });
    const refused = await inbox.first((input) => isResult(input) && input.commandId === 'embedder/1/2');
    expect(refused).toMatchObject({
      results: [{ state: 'rejected_transient', effectiveValue: 8, effectiveRevision: 0, error: 'not while loading' }],
    });
    server.perform({
      kind: 'command',
      command: command({ revision: 3, changes: [{ knob: 'batch_size', value: 33 }] }),
    });
    const never = await inbox.first((input) => isResult(input) && input.commandId === 'embedder/1/3');
    expect(never).toMatchObject({ results: [{ state: 'rejected_permanent', error: 'the model was compiled for 32' }] });
    expect(batch.value).toBe(8);
  });

  test('a process whose read-back differs is passed on as it is', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    tuner.int('batch_size', { default: 8, min: 1, max: 64, readBack: () => 9 });
    await states.first(({ state }) => state === 'connected');
    server.perform({ kind: 'command', command: command() });
    expect(await inbox.first(isResult)).toMatchObject({ results: [{ state: 'applied', effectiveValue: 9 }] });
  });

  test('a value set by hand reaches the engine, and a command that does not know of it is refused', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
    await states.first(({ state }) => state === 'connected');
    batch.set(12);
    expect(await inbox.first(({ kind }) => kind === 'override')).toEqual({
      kind: 'override',
      component: 'embedder',
      knob: 'batch_size',
      value: 12,
    });
    server.perform({ kind: 'command', command: command() });
    expect(await inbox.first(isResult)).toMatchObject({
      results: [{ state: 'rejected_transient', effectiveValue: 12 }],
    });
    expect(batch.value).toBe(12);
  });

  test('a process that never answers: a newer command supersedes, and late answers to the older are ignored', async () => {
    const { server, inbox, notices, address } = await rig({ listen: ['127.0.0.1:0'] });
    const client = raw(address);
    await client.welcomed();
    server.perform({ kind: 'command', command: command({ revision: 1 }) });
    // Sent again by the engine: the same command, a new nonce.
    server.perform({ kind: 'command', command: command({ revision: 1 }) });
    const sends = [await client.received.first(({ case: kind }) => kind === 'command')];
    server.perform({ kind: 'command', command: command({ revision: 2 }) });
    const superseded = await inbox.first(isResult);
    expect(superseded).toMatchObject({
      commandId: 'embedder/1/1',
      results: [{ state: 'superseded', effectiveValue: 8, attemptedRevision: 1, error: 'superseded by embedder/1/2' }],
    });
    expect(sends[0]?.value).toMatchObject({ commandId: 'embedder/1/1', nonce: '1' });

    const applied = (revision: bigint) => ({
      case: 'result' as const,
      value: {
        nonce: '1',
        commandId: `embedder/1/${revision}`,
        knobResults: [
          {
            knob: 'batch_size',
            state: KnobState.APPLIED,
            effectiveValue: { kind: { case: 'intValue' as const, value: 16n } },
            attemptedRevision: revision,
            effectiveRevision: revision,
          },
        ],
      },
    });
    client.send(applied(1n));
    client.send(applied(2n));
    await inbox.first((input) => isResult(input) && input.commandId === 'embedder/1/2');
    expect(inbox.all.filter((input) => isResult(input) && input.commandId === 'embedder/1/1')).toHaveLength(1);
    expect(notices.all).toContainEqual({
      kind: 'message_ignored',
      component: 'embedder',
      reason: 'a result of "embedder/1/1", which is not in flight',
    });
    const commands = client.received.all.filter(({ case: kind }) => kind === 'command').map(({ value }) => value);
    expect(commands).toMatchObject([{ nonce: '1' }, { nonce: '2' }, { nonce: '3' }]);
  });

  test('two components keep apart', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const one = await embedder(address, 'one');
    const two = await embedder(address, 'two');
    const batches = [one, two].map(({ tuner }) => tuner.int('batch_size', { default: 8, min: 1, max: 64 }));
    await Promise.all([one, two].map(({ states }) => states.first(({ state }) => state === 'connected')));
    server.perform({ kind: 'command', command: command({ component: 'two', commandId: 'two/1/1' }) });
    expect(await inbox.first(isResult)).toMatchObject({ component: 'two', commandId: 'two/1/1' });
    expect(batches.map(({ value }) => value)).toEqual([8, 16]);
  });
});

describe('leases', () => {
  test('when the agent dies the values return to the baseline by themselves, and a new agent finds the process', async () => {
    const path = join(folder(), 'c.sock');
    const first = await startRig({ listen: [`unix:${path}`] });
    const { tuner, states } = await embedder(`unix:${path}`);
    const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
    const values = new Arrivals<number>();
    batch.onChange((value) => values.push(value));
    await states.first(({ state }) => state === 'connected');
    first.server.perform({ kind: 'command', command: command({ leaseTtlMs: 150 }) });
    expect(await values.next()).toBe(16);
    // No renewal, no farewell.
    await first.server.stop(AbortSignal.abort());
    expect(await values.next()).toBe(8);
    expect(batch.value).toBe(8);

    const second = await rig({ listen: [`unix:${path}`], epoch: 2 });
    expect(await second.inbox.first(isOpened)).toMatchObject({ manifest: { held: [] } });
    second.server.perform({
      kind: 'command',
      command: command({ epoch: 2, commandId: 'embedder/2/1', changes: [{ knob: 'batch_size', value: 24 }] }),
    });
    expect(await values.next()).toBe(24);
  });

  test('a lease that is not renewed ends though the agent lives, and the agent is told', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
    await states.first(({ state }) => state === 'connected');
    server.perform({ kind: 'command', command: command({ leaseTtlMs: 50 }) });
    const expired = await inbox.first((input) => isResult(input) && input.results[0]?.state === 'expired');
    expect(expired).toMatchObject({
      commandId: 'embedder/1/1',
      results: [{ effectiveValue: 8, attemptedRevision: 1, effectiveRevision: 0, error: 'the lease ran out' }],
    });
    expect(batch.value).toBe(8);
  });

  test('a renewal is answered with what is held, read back where it can be', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    let real = 8;
    tuner.int('batch_size', { default: 8, min: 1, max: 64, readBack: () => real }).onChange((value) => {
      real = value;
    });
    await states.first(({ state }) => state === 'connected');
    const renewal = { kind: 'renewal', component: 'embedder', epoch: 1, revision: 1, leaseTtlMs: 15_000 } as const;
    const holdings = () => inbox.all.flatMap((input) => (input.kind === 'holding' ? [input.held] : []));
    server.perform(renewal);
    await inbox.first((input) => input.kind === 'holding');
    server.perform({ kind: 'command', command: command() });
    await inbox.first(isResult);
    real = 12;
    server.perform(renewal);
    await inbox.first((input) => input.kind === 'holding' && input.held.length > 0);
    const held = { knob: 'batch_size', value: 12, epoch: 1, revision: 1, manual: false };
    expect(holdings()).toEqual([[], [held]]);
  });

  test('that a value has gone is understood however many commands to other knobs have come since', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const client = raw(address);
    await client.welcomed({ knobs: [intKnob('batch_size'), intKnob('queue')] });
    const answer = (knob: string, revision: number, state: KnobState, value: bigint, effectiveRevision: number) => {
      const known = { knob, state, effectiveValue: { kind: { case: 'intValue' as const, value } } };
      const revisions = { attemptedRevision: BigInt(revision), effectiveRevision: BigInt(effectiveRevision) };
      const error = state === KnobState.APPLIED ? '' : 'the lease ran out';
      const result = { commandId: `embedder/1/${revision}`, knobResults: [{ ...known, ...revisions, error }] };
      client.send({ case: 'result', value: result });
    };
    for (let revision = 1; revision <= 100; revision++) {
      const [knob, commandId] = [revision === 1 ? 'batch_size' : 'queue', `embedder/1/${revision}`];
      const sent = command({ commandId, revision, changes: [{ knob, value: 16 }] });
      server.perform({ kind: 'command', command: sent });
      await client.received.first((said) => said.case === 'command' && said.value.commandId === commandId);
      answer(knob, revision, KnobState.APPLIED, 16n, revision);
      await inbox.first((input) => isResult(input) && input.commandId === commandId);
    }
    answer('batch_size', 1, KnobState.EXPIRED, 8n, 0);
    const expired = await inbox.first((input) => isResult(input) && input.results[0]?.state === 'expired');
    expect(expired).toMatchObject({ commandId: 'embedder/1/1', results: [{ knob: 'batch_size', effectiveValue: 8 }] });
  });

  test('a revocation returns the knobs named to their baselines at once, and is answered', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
    await states.first(({ state }) => state === 'connected');
    server.perform({ kind: 'command', command: command() });
    await inbox.first(isResult);
    const revoke = { component: 'embedder', epoch: 1, revision: 2, knobs: ['batch_size'], reason: 'doubt' };
    server.perform({ kind: 'revoke', ...revoke });
    const back = await inbox.first((input) => isResult(input) && input.results[0]?.state === 'rolled_back');
    expect(back).toMatchObject({ commandId: 'embedder/1/1', results: [{ effectiveValue: 8, error: 'doubt' }] });
    expect(batch.value).toBe(8);
  });
});

describe('sessions', () => {
  test('a knob declared later reaches the engine as a new manifest of the same session', async () => {
    const { inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    tuner.int('batch_size', { default: 8, min: 1, max: 64 });
    await states.first(({ state }) => state === 'connected');
    tuner.bool('compile', { default: false });
    const both = await inbox.first(
      (input) => input.kind === 'session' && input.event === 'opened' && input.manifest.knobs.length === 2,
    );
    expect(both).toMatchObject({ manifest: { knobs: [{ id: 'batch_size' }, { id: 'compile', baseline: false }] } });
    expect(inbox.all.some(isClosed)).toBe(false);
  });

  test('a newer incarnation takes the component over; an older one is refused', async () => {
    const { inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const old = raw(address);
    await old.welcomed({ incarnation: 5n });
    const newer = raw(address);
    await newer.welcomed({ incarnation: 6n });
    expect(await old.ended).toMatchObject({ code: status.ABORTED, details: expect.stringContaining('taken over') });
    const older = raw(address);
    older.hello({ incarnation: 4n });
    expect(await older.ended).toMatchObject({ code: status.FAILED_PRECONDITION });
    expect(inbox.all.map((input) => input.kind === 'session' && input.event)).toEqual(['opened', 'closed', 'opened']);
  });

  test('three heartbeats missed end the session', async () => {
    const timers: (() => void)[] = [];
    const { inbox, address } = await rig({
      listen: ['127.0.0.1:0'],
      after: (delayMs, run) => {
        if (delayMs === 5_000) timers.push(run);
        return () => {};
      },
    });
    const client = raw(address);
    await client.welcomed();
    // The first beat has heard the Hello; three silent ones follow.
    for (let beat = 0; beat < 4; beat++) timers.shift()?.();
    expect(await client.ended).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect(await inbox.first(isClosed)).toMatchObject({ reason: '3 heartbeats in a row were missed' });
  });

  test('a gap in what has arrived asks for the full state, once', async () => {
    const { notices, address } = await rig({ listen: ['127.0.0.1:0'] });
    const client = raw(address);
    await client.welcomed();
    client.send({ case: 'heartbeat', value: { seq: 5n } });
    await client.received.first(({ case: kind }) => kind === 'reportFullState');
    client.send({ case: 'heartbeat', value: { seq: 6n } });
    client.hello();
    await client.received.first((message) => message !== client.received.all[0] && message.case === 'welcome');
    expect(client.received.all.filter(({ case: kind }) => kind === 'reportFullState')).toHaveLength(1);
    expect(notices.all).toContainEqual({ kind: 'full_state_requested', component: 'embedder', missing: 3 });
  });

  test('a process that says Bye leaves with its reason', async () => {
    const { inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const { tuner, states } = await embedder(address);
    await states.first(({ state }) => state === 'connected');
    tuner.close();
    expect(await inbox.first(isClosed)).toMatchObject({ reason: 'the process said Bye: "closed by the process"' });
  });

  test('a slow reader is cut off, and nobody else', async () => {
    const { server, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const slow = raw(address);
    await slow.welcomed({ component: 'slow' });
    slow.stream.pause();
    const revoke = { component: 'slow', epoch: 1, revision: 1, knobs: [], reason: 'x'.repeat(10_000) };
    for (let i = 0; i < 1_000; i++) server.perform({ kind: 'revoke', ...revoke });
    expect(await inbox.first(isClosed)).toMatchObject({ reason: expect.stringContaining('reads too slowly') });
    const quick = raw(address);
    await quick.welcomed();
  });

  test('one session too many is refused', async () => {
    const { address } = await rig({
      listen: ['127.0.0.1:0'],
      limits: { ...DEFAULT_CONTROL_LIMITS, maxSessions: 1 },
    });
    const first = raw(address);
    await first.welcomed();
    const second = raw(address);
    second.hello({ component: 'other' });
    expect(await second.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});

describe('hostile and mistaken manifests', () => {
  const value = (int: bigint) => ({ kind: { case: 'intValue' as const, value: int } });
  const cases: [string, Parameters<RawClient['hello']>[0], string][] = [
    [
      '10,000 knobs',
      { knobs: Array.from({ length: 10_000 }, (_, i) => intKnob(`knob_${i}`)) },
      'hello.knobs has 10000 entries; allowed are 256 a component',
    ],
    ['an id that is a path', { knobs: [intKnob('../etc')] }, 'hello.knobs[0] ("../etc"): id'],
    ['an id twice', { knobs: [intKnob('a'), intKnob('a')] }, 'hello.knobs[1] ("a"): id is that of an earlier knob'],
    [
      'a range upside down',
      { knobs: [{ ...intKnob('a'), domain: { case: 'intDomain', value: { min: 9, max: 2 } } }] },
      'max 2 is not greater than min 9',
    ],
    [
      'a range without end',
      {
        knobs: [
          { ...intKnob('a'), domain: { case: 'doubleDomain', value: { min: 0, max: Number.POSITIVE_INFINITY } } },
        ],
      },
      'max Infinity is not a finite number',
    ],
    [
      'a log scale from 0',
      { knobs: [{ ...intKnob('a'), domain: { case: 'intDomain', value: { min: 0, max: 9, scale: 2 } } }] },
      'min 0 is not above 0, which a log scale needs',
    ],
    [
      'a baseline outside its range',
      { knobs: [{ ...intKnob('a'), baseline: value(65n) }] },
      'baseline 65 is outside 1 to 64',
    ],
    ['no default', { knobs: [{ id: 'a', domain: { case: 'boolDomain', value: {} } }] }, 'default_value must be set'],
    ['no domain', { knobs: [{ id: 'a', defaultValue: value(1n) }] }, 'domain must be one of'],
    ['no tier', { tier: 0 }, 'hello.tier is 0'],
    ['a component that forges a log line', { component: 'a\nfatal: b' }, 'hello.component "a\\nfatal: b" is not'],
    ['no component', { component: '' }, 'hello.component'],
    ['a held knob that is not there', { held: [{ knob: 'b', value: value(1n) }] }, 'hello.held[0] ("b")'],
    ['an epoch beyond counting', { held: [{ knob: 'batch_size', value: value(1n), epoch: 2n ** 63n }] }, 'epoch'],
  ];

  test.each(cases)('%s: refused with what and where, and the agent stays up', async (_, fields, problem) => {
    const { inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const hostile = raw(address);
    hostile.hello(fields);
    expect(await hostile.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(problem),
    });
    const honest = raw(address);
    await honest.welcomed();
    expect(inbox.all.filter(isOpened)).toHaveLength(1);
  });

  test('anything before a Hello is refused', async () => {
    const { address } = await rig({ listen: ['127.0.0.1:0'] });
    const client = raw(address);
    client.send({ case: 'heartbeat', value: { seq: 1n } });
    expect(await client.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test('nonsense after a Hello is ignored and counted', async () => {
    const { server, notices, inbox, address } = await rig({ listen: ['127.0.0.1:0'] });
    const client = raw(address);
    await client.welcomed();
    server.perform({ kind: 'command', command: command() });
    const ignored = () => notices.all.filter(({ kind }) => kind === 'message_ignored').length;
    client.send({ case: 'result', value: { commandId: 'embedder/1/1' } });
    client.send({
      case: 'result',
      value: { commandId: 'embedder/1/1', knobResults: [{ knob: 'batch_size', state: 99 as KnobState }] },
    });
    client.send({ case: 'result', value: { commandId: 'never', knobResults: [{ knob: 'x', state: 7 }] } });
    client.send({
      case: 'manualOverride',
      value: { knob: 'batch_size', value: { kind: { case: 'boolValue', value: true } } },
    });
    client.send({ case: 'manualOverride', value: { knob: 'nope', value: value(1n) } });
    client.send({ case: undefined });
    client.send({ case: 'bye', value: { reason: '' } });
    await inbox.first(isClosed);
    expect(ignored()).toBe(6);
    expect(inbox.all.map(({ kind }) => kind)).toEqual(['session', 'session']);
  });
});

describe('where it listens', () => {
  test('a socket file is 0600, and goes when the agent stops', async () => {
    const path = join(folder(), 'run', 'control.sock');
    const { address, stop } = await rig({ listen: [`unix:${path}`] });
    expect(address).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    await stop();
    expect(existsSync(path)).toBe(false);
  });

  test('the socket file of a dead agent is replaced', async () => {
    const path = join(folder(), 'control.sock');
    await leaveSocketBehind(path);
    const { address } = await rig({ listen: [`unix:${path}`] });
    const client = raw(address);
    await client.welcomed();
  });

  test('that of a living agent is an error, and the living agent goes on', async () => {
    const path = join(folder(), 'control.sock');
    const { address } = await rig({ listen: [`unix:${path}`] });
    await expect(startRig({ listen: [`unix:${path}`] })).rejects.toThrow(
      /another agent is listening on .*control\.sock/,
    );
    const client = raw(address);
    await client.welcomed();
  });

  test('a file that is no socket is left alone', async () => {
    const path = join(folder(), 'control.sock');
    writeFileSync(path, 'precious');
    await expect(startRig({ listen: [`unix:${path}`] })).rejects.toThrow(/exists and is no socket/);
    expect(existsSync(path)).toBe(true);
  });

  test('a folder that cannot be written is an error that names it', async () => {
    const path = join(folder(), 'control.sock', 'x'.repeat(120));
    await expect(startRig({ listen: [`unix:${path}`] })).rejects.toThrow(/longer than 107 bytes/);
    if (process.getuid?.() === 0) return;
    const locked = folder();
    chmodSync(locked, 0o500);
    await expect(startRig({ listen: [`unix:${locked}/c.sock`] })).rejects.toThrow(/cannot write in/);
  });

  test('a port in use is an error, and closes what was opened before it', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => taken.close());
    const address = taken.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const path = join(folder(), 'control.sock');
    await expect(startRig({ listen: [`unix:${path}`, `127.0.0.1:${port}`] })).rejects.toThrow(/EADDRINUSE/);
    expect(existsSync(path)).toBe(false);
  });

  test.each(['0.0.0.0:4319', '192.168.1.5:4319', '[::]:4319', 'example.com:4319'])(
    '%s is refused for want of mTLS',
    (listen) => {
      const options = { epoch: 1, heartbeatIntervalMs: 5_000, ports: emptyPorts(() => {}), observer: () => {} };
      expect(() => createControlServer({ ...options, listen: [listen] })).toThrow(/mutual TLS \(mTLS\)/);
    },
  );
});

/** Binds a socket file and dies without removing it, as a killed agent does. */
async function leaveSocketBehind(path: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  ]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  expect(existsSync(path)).toBe(true);
}
