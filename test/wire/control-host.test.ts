/** What a process with our client in it may rely on: the tuner never harms, delays or outlives its host. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { create } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { connectTuner, type TunerStatus } from '../../agent/client/typescript/tuner.ts';
import {
  type ConnectRequest,
  type ConnectResponse,
  ConnectResponseSchema,
  ControlService,
} from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import { serviceDefinition } from '../../agent/rpc/service_definition.ts';
import { VirtualClock } from '../contract/control-client-rig.ts';
import { Arrivals, command, startRig, temporaryFolder } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const TUNER = pathToFileURL(join(import.meta.dirname, '../../agent/client/typescript/tuner.ts')).href;

/** Runs a program that uses the client; resolves with what it printed once it has ended by itself. */
function run(program: string): Promise<{ readonly code: number | null; readonly printed: string }> {
  const source = `import { connectTuner } from ${JSON.stringify(TUNER)};\n${program}`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, printed })));
}

/** A server that answers sessions as the test says. */
async function fakeAgent(
  connect: (call: ServerDuplexStream<ConnectRequest, ConnectResponse>) => void,
): Promise<string> {
  const server = new Server();
  server.addService(serviceDefinition(ControlService), { connect });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  cleanups.push(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

const welcome = (epoch: number) =>
  create(ConnectResponseSchema, {
    message: { case: 'welcome', value: { epoch: BigInt(epoch), heartbeatInterval: { seconds: 5n } } },
  });

describe('a host process', () => {
  test('with no agent: starts, serves, reads its knobs, and ends by itself', async () => {
    using folder = temporaryFolder();
    const { code, printed } = await run(`
      const tuner = await connectTuner({ component: 'e', tier: 'stable', address: 'unix:${folder.path}/none.sock' });
      const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
      const { result } = await tuner.executeWithMonitoring(2, {}, async (request) => request * batch.value);
      console.log(result);
    `);
    expect([code, printed]).toEqual([0, '16\n']);
  });

  test('with an agent: an open session does not keep it alive', async () => {
    const rig = await startRig({ listen: ['127.0.0.1:0'] });
    cleanups.push(rig.stop);
    const { code, printed } = await run(`
      await new Promise(async (connected) => {
        const kept = setInterval(() => {}, 1_000);
        const onStatus = ({ state }) => { clearInterval(kept); console.log(state); connected(); };
        await connectTuner({ component: 'e', tier: 'stable', address: '${rig.address}', onStatus });
      });
    `);
    expect([code, printed]).toEqual([0, 'connected\n']);
    await rig.inbox.first((input) => input.kind === 'session' && input.event === 'closed');
  });

  test('declares nonsense: is told where it does, with what is allowed', async () => {
    const tuner = await connectTuner({ component: 'e', tier: 'stable', address: '127.0.0.1:1' });
    cleanups.push(() => tuner.close());
    expect(() => tuner.int('Batch', { default: 1, min: 1, max: 2 })).toThrow(/knob "Batch": id "Batch" does not match/);
    expect(() => tuner.int('a', { default: 9, min: 1, max: 2 })).toThrow('knob "a": default 9 is outside 1 to 2');
    expect(() => tuner.double('a', { default: 1, min: 0, max: 2, scale: 'log' })).toThrow('min 0 is not above 0');
    tuner.enum('a', { default: 'x', values: ['x', 'y'] });
    expect(() => tuner.bool('a', { default: true })).toThrow('knob "a" is declared already');
    await expect(connectTuner({ component: '', tier: 'stable' })).rejects.toThrow('component must not be empty');
    await expect(connectTuner({ component: 'e', tier: 'stable', address: 'nonsense' })).rejects.toThrow(
      'address "nonsense": expected unix:/absolute/path, host:port or [ipv6]:port',
    );
  });

  test('every kind of knob takes its values over the wire', async () => {
    const rig = await startRig({ listen: ['127.0.0.1:0'] });
    cleanups.push(rig.stop);
    const states = new Arrivals<TunerStatus>();
    const tuner = await connectTuner({
      component: 'embedder',
      tier: 'stable',
      address: rig.address,
      onStatus: states.push,
    });
    cleanups.push(() => tuner.close());
    const knobs = [
      tuner.int('i', { default: 1, min: 0, max: 9 }),
      tuner.double('d', { default: 1, min: 0, max: 9 }),
      tuner.duration('t', { default: 1, min: 0, max: 9 }),
      tuner.bool('b', { default: false }),
      tuner.enum('e', { default: 'x', values: ['x', 'y'] }),
    ];
    await states.next();
    const values = [4, 0.1 + 0.2, 2, true, 'y'];
    const changes = knobs.map(({ id, value: expectedCurrent }, i) => ({
      knob: id,
      value: values[i]!,
      expectedCurrent,
    }));
    rig.server.perform({ kind: 'command', command: command({ changes }) });
    const answer = await rig.inbox.first(({ kind }) => kind === 'result');
    if (answer.kind !== 'result') throw new Error('unreachable');
    expect(answer.results.map(({ state, effectiveValue }) => [state, effectiveValue])).toEqual(
      values.map((value) => ['applied', value]),
    );
    expect(knobs.map(({ value }) => value)).toEqual(values);
  });
});

describe('the connection', () => {
  test('is dialled again after each loss, ever more patiently, and at once patient when refused for good', async () => {
    const answers = [status.UNAVAILABLE, status.UNAVAILABLE, status.UNAVAILABLE, status.INVALID_ARGUMENT];
    const dials = new Arrivals<number>();
    const address = await fakeAgent((call) => {
      const code = answers[dials.all.length];
      dials.push(dials.all.length);
      call.on('data', () =>
        code === undefined ? call.write(welcome(1)) : call.emit('error', { code, details: 'no' }),
      );
    });
    const waits = new Arrivals<number>();
    const clock = new VirtualClock();
    const states = new Arrivals<TunerStatus>();
    const warnings = new Arrivals<Error>();
    process.on('warning', warnings.push);
    cleanups.push(() => process.off('warning', warnings.push));
    const tuner = await connectTuner({
      component: 'e',
      tier: 'stable',
      address,
      random: () => 0,
      onStatus: states.push,
      clock: {
        nowMs: () => clock.nowMs(),
        after(delayMs, run) {
          const callOff = clock.after(delayMs, run);
          // The Welcome's own time limit is not a wait.
          if (delayMs !== 10_000) waits.push(delayMs);
          return callOff;
        },
      },
    });
    cleanups.push(() => tuner.close());
    const seen: number[] = [];
    for (let loss = 0; loss < answers.length; loss++) {
      const wait = await waits.next();
      seen.push(wait);
      clock.advance(wait);
    }
    expect(seen).toEqual([100, 200, 400, 8_000]);
    expect(await states.next()).toEqual({ state: 'connected', epoch: 1 });
    const warning = await warnings.first(({ name }) => name === 'TunerWarning');
    expect(warning.message).toBe('the agent refuses this process: no');
  });

  test('to an agent that accepts and then says nothing is given up', async () => {
    const dials = new Arrivals<ServerDuplexStream<ConnectRequest, ConnectResponse>>();
    const address = await fakeAgent(dials.push);
    const clock = new VirtualClock();
    const tuner = await connectTuner({ component: 'e', tier: 'stable', address, clock, random: () => 0 });
    cleanups.push(() => tuner.close());
    await dials.next();
    clock.advance(10_000);
    clock.advance(1_000);
    await dials.next();
  });

  test('to an agent that does not read: what it does not take is dropped, counted, and said', async () => {
    const calls = new Arrivals<ServerDuplexStream<ConnectRequest, ConnectResponse>>();
    const heard = new Arrivals<ConnectRequest['message']>();
    const address = await fakeAgent((call) => {
      call.once('data', () => {
        call.pause();
        call.write(welcome(1));
        calls.push(call);
      });
    });
    const clock = new VirtualClock();
    const states = new Arrivals<TunerStatus>();
    const tuner = await connectTuner({ component: 'e', tier: 'stable', address, clock, onStatus: states.push });
    cleanups.push(() => tuner.close());
    const name = tuner.enum('n'.repeat(64), { default: 'x'.repeat(64), values: ['x'.repeat(64), 'y'.repeat(64)] });
    await states.next();
    const call = await calls.next();
    let sets = 0;
    while (tuner.droppedMessages === 0 && sets < 100_000) {
      name.set('y'.repeat(64));
      // Turns of the event loop let the connection take what it can.
      if (++sets % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const dropped = tuner.droppedMessages;
    expect(dropped).toBeGreaterThan(0);
    call.on('data', ({ message }: ConnectRequest) => heard.push(message));
    call.resume();
    // Once the queue is empty a heartbeat goes out, and counts what it should have been.
    const beats = setInterval(() => clock.advance(5_000), 5);
    const beat = await heard.first((message) => message.case === 'heartbeat');
    clearInterval(beats);
    const missing = Number(beat.case === 'heartbeat' && beat.value.seq) - (heard.all.indexOf(beat) + 2);
    expect(missing).toBe(dropped);
  });

  test('an agent that talks nonsense is not obeyed, and counted', async () => {
    const address = await fakeAgent((call) => {
      call.once('data', () => {
        call.write(welcome(1));
        for (const message of [
          { case: undefined },
          { case: 'command' as const, value: { epoch: 1n, revision: 1n, changes: [{ knob: 'a' }] } },
          { case: 'command' as const, value: { commandId: 'x', epoch: 1n, revision: 2n ** 63n } },
          { case: 'command' as const, value: { commandId: 'y', epoch: 1n, revision: 1n, changes: [{ knob: 'a' }] } },
          { case: 'leaseRenewal' as const, value: { epoch: 2n ** 63n } },
          { case: 'revoke' as const, value: { epoch: 2n ** 63n } },
          { case: 'welcome' as const, value: { epoch: 1n } },
        ])
          call.write(create(ConnectResponseSchema, { message }));
        call.write(welcome(2));
      });
    });
    const states = new Arrivals<number>();
    const tuner = await connectTuner({ component: 'e', tier: 'stable', address });
    cleanups.push(() => tuner.close());
    const batch = tuner.int('a', { default: 8, min: 1, max: 64 });
    const poll = setInterval(() => tuner.status.state === 'connected' && states.push(tuner.status.epoch), 1);
    await states.first((epoch) => epoch === 2);
    clearInterval(poll);
    expect([tuner.unreadableMessages, batch.value]).toEqual([7, 8]);
  });
});

describe('what is measured', () => {
  test('time and load of what succeeded; what failed is thrown on and counted', async () => {
    const clock = new VirtualClock();
    const tuner = await connectTuner({ component: 'e', tier: 'stable', address: '127.0.0.1:1', clock });
    cleanups.push(() => tuner.close());
    const slow = tuner.executeWithMonitoring('question', { cpu: 1 }, (request, allocation) => {
      clock.advance(25);
      return Promise.resolve(`${request} on ${allocation.cpu}`);
    });
    const failing = tuner.executeWithMonitoring('question', { cpu: 1 }, () => {
      throw new Error('out of memory');
    });
    // The one that threw at once is over; the other's promise has not been waited for yet.
    expect(tuner.monitoring.inFlight).toBe(1);
    await expect(failing).rejects.toThrow('out of memory');
    expect(await slow).toEqual({ result: 'question on 1', executionTimeMs: 25, inFlight: 1, allocation: { cpu: 1 } });
    expect(tuner.monitoring).toEqual({ inFlight: 0, succeeded: 1, failed: 1, executionTimeMsTotal: 25 });
  });
});
