/** Who gets in, and what they may do there: each refusal with a clear error, each act of an operator on record. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type MessageInitShape,
} from '@bufbuild/protobuf';
import {
  Client,
  getChannelzServiceDefinition,
  makeGenericClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { type AccessOptions, TRUSTING } from '../../agent/adapters/control/access.ts';
import { createControlServer } from '../../agent/adapters/control/control_server.ts';
import { type AuditQuestion, DEFAULT_CONTROL_LIMITS } from '../../agent/adapters/control/ports.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callUnary } from '../../agent/rpc/calls.ts';
import { type ChannelAccess, channelCredentials, withToken } from '../../agent/rpc/channel_access.ts';
import { emptyPorts, RawClient, type Rig, startRig, temporaryFolder } from './control-rig.ts';
import { newPki, type Pki } from './otlp_pki.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const OPERATOR = 'operator-token-0123456789';
const EMBEDDER = 'embedder-token-0123456789';
const CLOSED: AccessOptions = {
  socket: 'nobody',
  loopback: 'nobody',
  operators: [{ name: 'alice', token: OPERATOR }],
  processes: [{ component: 'embedder', token: EMBEDDER }],
};

type Record = AuditQuestion & { readonly outcome?: { readonly ok: boolean; readonly message: string } };

/** A server whose engine says yes to everything, and the record of what was asked of it. */
async function agent(
  access: AccessOptions,
  options: Partial<Parameters<typeof startRig>[0]> = {},
): Promise<Rig & { readonly records: Record[] }> {
  const records: Record[] = [];
  const rig: Rig = await startRig(
    { listen: ['127.0.0.1:0'], access, ...options },
    {
      inbox: (input) => {
        rig.inbox.push(input);
        if (input.kind === 'operator')
          rig.server.perform({ kind: 'reply', requestId: input.request.requestId, ok: true, message: 'as you wish' });
      },
      audit: {
        asked(question) {
          const i = records.push(question) - 1;
          return (outcome) => {
            records[i] = { ...question, outcome };
          };
        },
      },
    },
  );
  cleanups.push(rig.stop);
  return { ...rig, records };
}

function clientOf(address: string, access: ChannelAccess = {}): Client {
  const client = new Client(address, channelCredentials(access), {
    'grpc.use_local_subchannel_pool': 1,
    ...withToken(access),
  });
  cleanups.push(() => client.close());
  return client;
}

function ask<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<unknown> {
  return callUnary(client, method, create(method.input, request), 5_000).catch((error: ServiceError) => error);
}

/** How an attempt to hold a session ends. */
async function session(address: string, access: ChannelAccess, component: string) {
  const client = new RawClient(address, access);
  cleanups.push(() => client.close());
  client.hello({ component });
  const welcomed = client.received.first((message) => message.case === 'welcome').then(() => 'welcomed' as const);
  return Promise.race([welcomed, client.ended]);
}

const { method } = TuningService;
const isUnary = (each: DescMethod): each is DescMethodUnary => each.methodKind === 'unary';
const freeze = { reason: 'incident', by: 'somebody else' };

describe('a token', () => {
  test('none, a wrong one and something else: refused, and told how', async () => {
    const { address, records, notices } = await agent(CLOSED);
    const none = { code: status.UNAUTHENTICATED, details: expect.stringContaining('"authorization: Bearer TOKEN"') };
    expect(await ask(clientOf(address), method.getSnapshot, {})).toMatchObject(none);
    expect(await session(address, {}, 'embedder')).toMatchObject(none);
    const wrong = { code: status.UNAUTHENTICATED, details: expect.stringContaining('none of those') };
    expect(await ask(clientOf(address, { token: `${OPERATOR}x` }), method.freeze, freeze)).toMatchObject(wrong);
    expect(records).toMatchObject([{ who: 'unknown', role: 'none', action: 'Freeze', outcome: { ok: false } }]);
    expect(JSON.stringify([records, notices.all])).not.toContain('token-0123456789');
  });

  test("of an operator: everything, under the operator's own name, and no session", async () => {
    const { address, inbox, records } = await agent(CLOSED);
    const client = clientOf(address, { token: OPERATOR });
    expect(await ask(client, method.freeze, freeze)).toMatchObject({ message: 'as you wish' });
    expect(await ask(client, method.getSnapshot, {})).toMatchObject({ frozen: false });
    expect(await inbox.first(({ kind }) => kind === 'operator')).toMatchObject({ request: { by: 'operator "alice"' } });
    expect(records).toEqual([
      {
        who: 'operator "alice"',
        role: 'operator',
        address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        action: 'Freeze',
        request: '{"reason":"incident","by":"somebody else"}',
        dryRun: false,
        outcome: { ok: true, message: 'as you wish' },
      },
    ]);
    expect(await session(address, { token: OPERATOR }, 'embedder')).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining('operator "alice" may not speak for component "embedder"'),
    });
  });

  test('of a process: its own component and nothing else', async () => {
    const { address, records } = await agent(CLOSED);
    const access = { token: EMBEDDER };
    expect(await session(address, access, 'embedder')).toBe('welcomed');
    expect(await session(address, access, 'ranker')).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining('process of "embedder" may not speak for component "ranker"'),
    });
    const denied = { code: status.PERMISSION_DENIED, details: expect.stringContaining('is for the role') };
    const client = clientOf(address, access);
    expect(await ask(client, method.getSnapshot, {})).toMatchObject(denied);
    expect(await ask(client, method.pin, { component: 'embedder', knob: 'batch_size' })).toMatchObject(denied);
    expect(records).toMatchObject([{ who: 'process of "embedder"', action: 'Pin', outcome: { ok: false } }]);
  });

  test('of a process with two components: either, and no other', async () => {
    const processes = ['embedder', 'ranker'].map((component) => ({ component, token: EMBEDDER }));
    const { address } = await agent({ ...CLOSED, processes });
    for (const component of ['embedder', 'ranker'])
      expect(await session(address, { token: EMBEDDER }, component)).toBe('welcomed');
    expect(await session(address, { token: EMBEDDER }, 'asr')).toMatchObject({
      details: expect.stringContaining('process of "embedder" or "ranker" may not speak for component "asr"'),
    });
  });

  test('in a file, which is read again: the old one counts no more', async () => {
    using folder = temporaryFolder();
    const tokenFile = join(folder.path, 'token');
    writeFileSync(tokenFile, `${OPERATOR}\n`);
    const { address, server, notices } = await agent({ ...CLOSED, operators: [{ name: 'alice', tokenFile }] });
    const next = 'another-token-0123456789';
    expect(await ask(clientOf(address, { token: OPERATOR }), method.getSnapshot, {})).toMatchObject({ epoch: 1n });
    writeFileSync(tokenFile, next);
    server.reload();
    expect(await ask(clientOf(address, { token: next }), method.getSnapshot, {})).toMatchObject({ epoch: 1n });
    expect(await ask(clientOf(address, { token: OPERATOR }), method.getSnapshot, {})).toMatchObject({
      code: status.UNAUTHENTICATED,
    });
    writeFileSync(tokenFile, 'too short');
    server.reload();
    expect(notices.all.at(-1)).toMatchObject({ problem: { message: expect.stringContaining('16 to 512 printable') } });
    expect(await ask(clientOf(address, { token: next }), method.getSnapshot, {})).toMatchObject({ epoch: 1n });
  });

  test('file that is not there: the agent does not start', () => {
    const access = { ...CLOSED, operators: [{ name: 'alice', tokenFile: '/nonexistent/token' }] };
    expect(() => createControlServer({ ...OPTIONS, access })).toThrow('cannot read the token in /nonexistent/token');
  });
});

const OPTIONS = {
  listen: ['127.0.0.1:0'],
  epoch: 1,
  heartbeatIntervalMs: 1_000,
  ports: emptyPorts(() => {}),
  observer: () => {},
};

describe('without a credential', () => {
  test('the socket file is trusted and the loopback may look, by default; a session is open to both', async () => {
    using folder = temporaryFolder();
    const listen = [`unix:${join(folder.path, 's')}`, '127.0.0.1:0'];
    const { server } = await agent({ ...TRUSTING, loopback: 'observer' }, { listen });
    const [socket = '', loopback = ''] = server.addresses;
    expect(await ask(clientOf(socket), method.freeze, freeze)).toMatchObject({ message: 'as you wish' });
    expect(await ask(clientOf(loopback), method.getSnapshot, {})).toMatchObject({ epoch: 1n });
    expect(await ask(clientOf(loopback), method.freeze, freeze)).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining('use the Unix socket, or the token of an operator'),
    });
    for (const address of [socket, loopback]) expect(await session(address, {}, 'embedder')).toBe('welcomed');
  });

  test('whoever may only look reaches every method that reads, and none that changes anything', async () => {
    const { address, records } = await agent({ ...CLOSED, loopback: 'observer' }, { nowMs: () => 0 });
    const client = clientOf(address);
    const denied: string[] = [];
    for (const method of TuningService.methods.filter(isUnary)) {
      const answer = await callUnary(client, method, create(method.input), 5_000).catch((error: ServiceError) => error);
      if (answer instanceof Error && 'code' in answer && answer.code === status.PERMISSION_DENIED)
        denied.push(method.name);
    }
    // What changes something says who asks.
    const changing = TuningService.methods.filter(({ input }) => input.fields.some(({ name }) => name === 'by'));
    expect(denied).toEqual(changing.map(({ name }) => name));
    expect(denied).toContain('Freeze');
    // Refusals are put on record, at a pace that nobody can fill a disk with.
    expect(records.length).toBe(10);
  });

  test('channelz is for those who may look', async () => {
    const { address } = await agent({ ...CLOSED, loopback: 'observer' });
    const Channelz = makeGenericClientConstructor(getChannelzServiceDefinition(), 'Channelz');
    const channelz = new Channelz(address, channelCredentials({}));
    cleanups.push(() => channelz.close());
    const servers = await new Promise<unknown>((resolve) =>
      channelz.getServers?.({}, (error: ServiceError | null, answer: unknown) => resolve(error ?? answer)),
    );
    expect(servers).toMatchObject({ server: expect.arrayContaining([expect.anything()]) });
    const closed = await agent(CLOSED);
    const stranger = new Channelz(closed.address, channelCredentials({}));
    cleanups.push(() => stranger.close());
    const refused = await new Promise<unknown>((resolve) =>
      stranger.getServers?.({}, (error: ServiceError | null, answer: unknown) => resolve(error ?? answer)),
    );
    expect(refused).toMatchObject({ code: status.UNAUTHENTICATED });
  });

  test('more calls than are meant to be: refused until later', async () => {
    const limits = { ...DEFAULT_CONTROL_LIMITS, requestsPerSecond: 2 };
    const { address } = await agent(TRUSTING, { limits, nowMs: () => 0 });
    const client = clientOf(address);
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await ask(client, method.getSnapshot, {}));
    expect(answers.map((answer) => (answer instanceof Error && 'code' in answer ? answer.code : 'ok'))).toEqual([
      ...['ok', 'ok', 'ok', 'ok'],
      status.RESOURCE_EXHAUSTED,
    ]);
  });
});

describe('beyond loopback', () => {
  function pki(): Pki {
    const made = newPki();
    cleanups.push(() => made[Symbol.dispose]());
    made.authority('ca');
    return made;
  }
  const serverTls = (made: Pki) => ({ ...made.issue('server', 'ca'), clientCa: join(made.folder, 'ca.crt') });
  const clientTls = (made: Pki, name: string, names: string, ca = 'ca') => ({
    tls: { ca: join(made.folder, 'ca.crt'), ...made.issue(name, ca, names) },
  });

  test.each(['0.0.0.0:0', '[::]:0', '192.0.2.7:4319'])('%s without a client CA: not even constructed', (listen) => {
    for (const tls of [null, { cert: '/a', key: '/b' }])
      expect(() => createControlServer({ ...OPTIONS, listen: [listen], tls })).toThrow(/mutual TLS \(mTLS\)/);
  });

  test('a certificate says who it is: the process it is named after, or the operator it is given to', async () => {
    const made = pki();
    const { server, records } = await agent(
      { ...CLOSED, operators: [{ name: 'alice', certificate: 'spiffe://cluster/alice' }] },
      { listen: ['0.0.0.0:0'], tls: serverTls(made) },
    );
    const address = server.addresses[0]!.replace('0.0.0.0', '127.0.0.1');
    const embedder = clientTls(made, 'embedder', 'DNS:embedder-0.ai.svc');
    expect(await session(address, embedder, 'embedder')).toBe('welcomed');
    expect(await session(address, embedder, 'ranker')).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(await ask(clientOf(address, embedder), method.freeze, freeze)).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    // A name that only looks as if it held another.
    const forged = clientTls(made, 'forger', '@alt\n[alt]\nURI.1=http://x/, URI:spiffe://cluster/alice');
    expect(await ask(clientOf(address, forged), method.freeze, freeze)).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    const alice = clientTls(made, 'anybody', 'URI:spiffe://cluster/alice');
    expect(await ask(clientOf(address, alice), method.freeze, freeze)).toMatchObject({ message: 'as you wish' });
    expect(records.at(-1)).toMatchObject({ who: 'operator "alice"', outcome: { ok: true } });
    // A token says more than the certificate that it comes with.
    const both = { ...embedder, token: 'never-heard-of-0123456789' };
    expect(await ask(clientOf(address, both), method.getSnapshot, {})).toMatchObject({ code: status.UNAUTHENTICATED });
  });

  test('no certificate, or one of another authority: no connection', async () => {
    const made = pki();
    made.authority('stranger');
    const { server } = await agent(TRUSTING, { listen: ['0.0.0.0:0'], tls: serverTls(made) });
    const address = server.addresses[0]!.replace('0.0.0.0', '127.0.0.1');
    const strangers = [
      { tls: { ca: join(made.folder, 'ca.crt') } },
      clientTls(made, 'embedder', 'DNS:x', 'stranger'),
      {},
    ];
    for (const access of strangers)
      expect(await ask(clientOf(address, access), method.getSnapshot, {})).toMatchObject({ code: status.UNAVAILABLE });
  });

  test('renewed certificates are taken into use without a restart', async () => {
    const made = pki();
    const tls = serverTls(made);
    const { server, notices } = await agent(CLOSED, { listen: ['127.0.0.1:0'], tls });
    const [address = ''] = server.addresses;
    made.authority('new');
    const embedder = { tls: { ca: join(made.folder, 'new.crt'), ...made.issue('embedder', 'new', 'DNS:e') } };
    expect(await session(address, embedder, 'embedder')).toMatchObject({ code: status.UNAVAILABLE });
    const renewed = made.issue('renewed', 'new');
    copyFileSync(renewed.cert, tls.cert);
    copyFileSync(renewed.key, tls.key);
    copyFileSync(join(made.folder, 'new.crt'), tls.clientCa);
    server.reload();
    expect(notices.all.at(-1)).toEqual({ kind: 'credentials_reloaded' });
    expect(await session(address, embedder, 'embedder')).toBe('welcomed');
  });
});
