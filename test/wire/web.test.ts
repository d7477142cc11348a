import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  createWebServer,
  WebListenError,
  type WebServer,
  type WebServerOptions,
} from '../../agent/adapters/web/web_server.ts';
import { statusWith } from '../unit/web_status.ts';

const running: WebServer[] = [];
let defects: unknown[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop(AbortSignal.abort())));
  defects = [];
});

async function start(change: Partial<WebServerOptions> = {}): Promise<WebServer> {
  const server = createWebServer({
    host: '127.0.0.1',
    port: 0,
    key: null,
    onDefect: (error) => defects.push(error),
    ...change,
    pages: {
      metrics: () => [{ name: 'm', type: 'counter', help: 'M.', values: [{ value: 1 }] }],
      status: () => statusWith({}),
      notReady: () => undefined,
      ...change.pages,
    },
  });
  running.push(server);
  await server.start();
  return server;
}

interface Answer {
  readonly code: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function ask(
  server: WebServer,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(`http://${server.address}`);
  const call = request({ host: hostname.replace(/[[\]]/g, ''), port, path, method, headers });
  call.end();
  const [response]: IncomingMessage[] = await once(call, 'response');
  if (response === undefined) throw new Error('no response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { code: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

describe('pages', () => {
  it('says that it is alive, and whether it is ready, with the reason', async () => {
    let why: string | undefined = 'the agent is starting';
    const pages = { notReady: () => why, metrics: () => [], status: () => statusWith({}) };
    const server = await start({ pages });
    expect(await ask(server, '/healthz')).toMatchObject({ code: 200, body: 'ok\n' });
    expect(await ask(server, '/readyz')).toMatchObject({ code: 503, body: 'the agent is starting\n' });
    why = undefined;
    expect(await ask(server, '/readyz?verbose')).toMatchObject({ code: 200, body: 'ok\n' });
  });

  it('shows metrics in the format that is asked for', async () => {
    const server = await start();
    const text = await ask(server, '/metrics');
    expect(text).toMatchObject({ code: 200, body: '# HELP m_total M.\n# TYPE m_total counter\nm_total 1\n' });
    expect(text.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const open = await ask(server, '/metrics', { headers: { accept: 'application/openmetrics-text' } });
    expect(open.headers['content-type']).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(open.body.endsWith('# EOF\n')).toBe(true);
  });

  it('shows the state of every part as JSON', async () => {
    const answer = await ask(await start(), '/status');
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(JSON.parse(answer.body)).toEqual(statusWith({}));
  });

  it('can only be read, and sets nothing that would let a site read along', async () => {
    const server = await start();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await ask(server, '/status', { method, headers: { origin: 'https://evil.example' } });
      expect(answer).toMatchObject({ code: 405, headers: { allow: 'GET, HEAD' } });
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
    expect(await ask(server, '/metrics', { method: 'HEAD' })).toMatchObject({ code: 200, body: '' });
    expect(await ask(server, '/nowhere')).toMatchObject({ code: 404 });
    expect((await ask(server, '/status')).headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
  });

  it('survives a page that cannot be made, and reports it', async () => {
    const fails = (): never => {
      throw new Error('defect');
    };
    const server = await start({ pages: { metrics: fails, status: fails, notReady: () => undefined } });
    expect(await ask(server, '/metrics')).toMatchObject({ code: 500 });
    expect(defects).toEqual([expect.objectContaining({ message: 'defect' })]);
    expect(await ask(server, '/healthz')).toMatchObject({ code: 200 });
  });
});

describe('who may read', () => {
  it.each(['localhost', 'LOCALHOST:80', '127.0.0.1:4320', '127.8.8.8', '[::1]:4320'])(
    'Host %s, of this machine',
    async (host) => {
      expect(await ask(await start(), '/status', { headers: { host } })).toMatchObject({ code: 200 });
    },
  );

  it.each([
    'evil.example',
    'evil.example:4320',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '127.0.0.1@evil',
  ])('no name that a web site can have resolve to us: %s', async (host) => {
    const server = await start();
    for (const path of ['/status', '/metrics', '/healthz']) {
      expect(await ask(server, path, { headers: { host } })).toMatchObject({ code: 421 });
    }
  });

  it('with a key: who has it, under any name; the two probes are for all', async () => {
    const key = 'a-key-of-sixteen-chars';
    const server = await start({ key });
    const headers = { host: 'pod.cluster.local' };
    expect(await ask(server, '/status', { headers })).toMatchObject({
      code: 401,
      headers: { 'www-authenticate': 'Bearer' },
    });
    for (const authorization of [`Bearer ${key}x`, 'Bearer ', `Basic ${key}`, key]) {
      expect(await ask(server, '/metrics', { headers: { ...headers, authorization } })).toMatchObject({ code: 401 });
    }
    expect(await ask(server, '/status', { headers: { ...headers, authorization: `Bearer ${key}` } })).toMatchObject({
      code: 200,
    });
    expect(await ask(server, '/healthz', { headers })).toMatchObject({ code: 200 });
    expect(await ask(server, '/readyz', { headers })).toMatchObject({ code: 200 });
  });
});

describe('the port', () => {
  it('that is taken is an error that says what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(start({ port })).rejects.toThrow(WebListenError);
    await expect(start({ port })).rejects.toThrow(/EADDRINUSE.*web\.address/);
    other.close();
  });

  it('takes no endless headers', async () => {
    const server = await start();
    expect(await ask(server, '/status', { headers: { 'x-long': 'x'.repeat(10_000) } })).toMatchObject({ code: 431 });
    expect(await ask(server, '/healthz')).toMatchObject({ code: 200 });
  });

  it('is closed by a stop, also for a client that only holds its connection', async () => {
    const server = await start();
    const { hostname, port } = new URL(`http://${server.address}`);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n');
    // Reset or ended: either way it is closed.
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await server.stop(AbortSignal.abort());
    await closed;
    expect(server.address).toBeUndefined();
  });
});
