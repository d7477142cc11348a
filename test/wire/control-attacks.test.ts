/** What a hostile or broken peer may try on the control channel: each refused with a clear error, and nobody else harmed. */
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { DEFAULT_CONTROL_LIMITS } from '../../agent/adapters/control/ports.ts';
import { KnobState } from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import { command, type HelloInit, intKnob, RawClient, type Rig, startRig } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function agent(limits: Partial<typeof DEFAULT_CONTROL_LIMITS> = {}, nowMs?: () => number): Promise<Rig> {
  const rig = await startRig({
    listen: ['127.0.0.1:0'],
    limits: { ...DEFAULT_CONTROL_LIMITS, ...limits },
    ...(nowMs && { nowMs }),
  });
  cleanups.push(rig.stop);
  return rig;
}

function peer(address: string): RawClient {
  const client = new RawClient(address);
  cleanups.push(() => client.close());
  return client;
}

/** An honest process is served, whatever was tried before. */
async function isServed({ address, server, inbox }: Rig): Promise<void> {
  const honest = peer(address);
  await honest.welcomed({ component: 'honest', instanceUid: 'honest' });
  server.perform({ kind: 'command', command: command({ component: 'honest', commandId: 'for the honest' }) });
  const received = await honest.received.first((message) => message.case === 'command');
  expect(received).toMatchObject({ value: { commandId: 'for the honest' } });
  expect(inbox.all).toContainEqual(expect.objectContaining({ kind: 'session', event: 'opened' }));
}

describe('names', () => {
  const esc = '\u001b[2J';
  const forged: [string, Partial<HelloInit>, string][] = [
    ['a component that climbs', { component: '../../etc/passwd' }, 'component "../../etc/passwd" reads like a path'],
    ['an absolute component', { component: '/etc/passwd' }, 'reads like a path'],
    ['a component with a backslash', { component: 'a\\..\\b' }, 'reads like a path'],
    ['a component that is its own folder', { component: 'a/.' }, 'reads like a path'],
    ['a component that forges a line', { component: 'a\n{"level":"info"}' }, 'without control characters'],
    ['a component that steers a terminal', { component: esc }, 'without control characters'],
    ['an instance that forges a line', { instanceUid: 'a\u2028b' }, 'without control characters'],
    ['a resource key that forges a line', { resource: { 'a\rb': '' } }, 'without control characters'],
    ['a knob that climbs', { knobs: [intKnob('../x')] }, 'does not match'],
    ['a description', { knobs: [{ ...intKnob('k'), description: esc }] }, 'description has control characters'],
    ['a unit', { knobs: [{ ...intKnob('k'), unit: esc }] }, 'unit has control characters'],
    ['a blast radius', { knobs: [{ ...intKnob('k'), blastRadius: esc }] }, 'blast_radius has control characters'],
    [
      'a word of an enum',
      {
        knobs: [
          {
            id: 'k',
            domain: { case: 'enumDomain', value: { values: ['a', esc] } },
            defaultValue: { kind: { case: 'stringValue', value: 'a' } },
          },
        ],
      },
      'a value has control characters',
    ],
  ];
  test.each(forged)('%s: refused, with the place and what is allowed', async (_, fields, problem) => {
    const rig = await agent();
    const attacker = peer(rig.address);
    attacker.hello(fields);
    const error = await attacker.ended;
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining(problem) });
    // Nor does the refusal forge what it refuses.
    expect(error?.details).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
    expect(rig.inbox.all).toEqual([]);
  });

  test('the reason of a rejection is one line, of a length that anybody reads', async () => {
    const { address, server, inbox } = await agent();
    const attacker = peer(address);
    await attacker.welcomed();
    server.perform({ kind: 'command', command: command() });
    await attacker.received.first((message) => message.case === 'command');
    const state = KnobState.REJECTED_PERMANENT;
    const error = `no\n{"level":"info","msg":"${'all is well '.repeat(1_000)}`;
    const effectiveValue = { kind: { case: 'intValue' as const, value: 8n } };
    attacker.send({
      case: 'result',
      value: { commandId: 'embedder/1/1', knobResults: [{ knob: 'batch_size', state, effectiveValue, error }] },
    });
    const input = await inbox.first(({ kind }) => kind === 'result');
    const [result] = input.kind === 'result' ? input.results : [];
    expect(result?.error).toMatch(/^no \{"level":"info"/);
    expect(result?.error).not.toMatch(/\p{Cc}/u);
    expect(result?.error?.length).toBeLessThanOrEqual(1_024);
  });
});

describe('results', () => {
  test('of a command to somebody else, or of one that never was, change nothing', async () => {
    const { address, server, inbox, notices } = await agent();
    const victim = peer(address);
    await victim.welcomed({ component: 'victim', instanceUid: 'victim' });
    server.perform({ kind: 'command', command: command({ component: 'victim', commandId: 'for the victim' }) });
    const attacker = peer(address);
    await attacker.welcomed();
    for (const commandId of ['for the victim', 'never was']) {
      const knobResults = [
        {
          knob: 'batch_size',
          state: KnobState.APPLIED,
          effectiveValue: { kind: { case: 'intValue' as const, value: 1n } },
        },
      ];
      attacker.send({ case: 'result', value: { commandId, knobResults } });
      await notices.first(
        (notice) =>
          notice.kind === 'message_ignored' && notice.reason.includes(`"${commandId}", which is not in flight`),
      );
    }
    expect(inbox.all.filter(({ kind }) => kind === 'result')).toEqual([]);
  });
});

describe('too much', () => {
  test('a manifest larger than a message may be', async () => {
    const rig = await agent();
    const attacker = peer(rig.address);
    attacker.hello({ knobs: [{ ...intKnob('k'), description: 'x'.repeat(5 * 1024 * 1024) }] });
    expect(await attacker.ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/larger than max/),
    });
    await isServed(rig);
  });

  test('messages and Hellos faster than is meant to be: the session ends, and says what is allowed', async () => {
    const rig = await agent({ messagesPerSecond: 10 }, () => 0);
    const flooder = peer(rig.address);
    await flooder.welcomed();
    for (let seq = 2; seq < 40; seq++) flooder.send({ case: 'heartbeat', value: { seq: BigInt(seq) } });
    const details = 'the process sends more than 10 messages or 20 Hellos a second';
    expect(await flooder.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details });
    const other = await agent({}, () => 0);
    const declarer = peer(other.address);
    for (let i = 0; i < 50; i++) declarer.hello();
    expect(await declarer.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await isServed(rig);
  });
});

describe('half-open connections', () => {
  const keepalive = { keepaliveMs: 50, keepaliveTimeoutMs: 50 };
  const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

  test('one that never says a word, and one that stops answering, are closed', async () => {
    const rig = await agent(keepalive);
    const [host = '', port = ''] = rig.address.split(':');
    const mute = connect(Number(port), host);
    mute.on('error', () => {});
    // Everything that HTTP/2 asks for at the beginning, and then no answer to any sign of life.
    const frozen = connect(Number(port), host);
    frozen.on('error', () => {});
    frozen.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
    frozen.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    mute.resume();
    frozen.resume();
    await Promise.all([closed(mute), closed(frozen)]);
    await isServed(rig);
  });

  test('one that answers is not', async () => {
    const rig = await agent(keepalive);
    const session = connectHttp2(`http://${rig.address}`);
    cleanups.push(() => session.destroy());
    let pings = 0;
    await new Promise<void>((resolve) => {
      session.on('ping', () => {
        if (++pings === 4) resolve();
      });
    });
    expect(session.closed).toBe(false);
  });
});
