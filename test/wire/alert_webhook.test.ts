import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { afterEach, describe, expect, test } from 'vitest';
import { createWebhook, type WebhookNotice, type WebhookOptions } from '../../agent/adapters/alerts/webhook.ts';
import { Arrivals } from './control-rig.ts';
import { newPki } from './otlp_pki.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Post {
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  readonly method: string | undefined;
}

type Answer = (response: ServerResponse, n: number) => void;
const ok: Answer = (response) => response.writeHead(204).end();

/** A real server that keeps what it is told, and answers the n-th request as the test says. */
async function listening(answer: Answer, make: (handler: Parameters<typeof createServer>[1]) => Server = createServer) {
  const posts = new Arrivals<Post>();
  const server = make((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      posts.push({ method: request.method, headers: request.headers, body: JSON.parse(body) });
      answer(response, posts.all.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { posts, port: address.port };
}

function webhookTo(url: string, more: Partial<WebhookOptions> = {}) {
  const notices = new Arrivals<WebhookNotice>();
  const webhook = createWebhook({
    ...{ url, headers: { authorization: 'Bearer hunter2' }, timeoutMs: 2_000, maxQueued: 10, tls: {} },
    retry: { initialMs: 1, maxMs: 5, maxAttempts: 4 },
    onNotice: notices.push,
    ...more,
  });
  cleanups.push(() => webhook.stop(AbortSignal.timeout(100)));
  return { webhook, notices };
}

const stop = () => AbortSignal.timeout(2_000);
const none = { full: 0, failed: 0, refused: 0, stopped: 0 };

describe('a webhook', () => {
  test('is posted JSON, one message after another, with the secret header', async () => {
    const { posts, port } = await listening(ok);
    const { webhook, notices } = webhookTo(`http://127.0.0.1:${port}/hook?x=1`);
    for (let n = 1; n <= 5; n++) webhook.send({ n, text: 'ünïcode' });
    await webhook.stop(stop());
    expect(posts.all.map(({ body }) => body)).toEqual([1, 2, 3, 4, 5].map((n) => ({ n, text: 'ünïcode' })));
    expect(posts.all[0]).toMatchObject({
      method: 'POST',
      headers: { authorization: 'Bearer hunter2', 'content-type': 'application/json; charset=utf-8' },
    });
    expect(webhook.counts).toEqual({ queued: 0, delivered: 5, retries: 0, dropped: none });
    expect(notices.all).toEqual([]);
  });

  test('is tried again while it fails, in order, and says when it fails and works', async () => {
    const { posts, port } = await listening((response, n) =>
      response.writeHead(n === 1 ? 503 : n === 2 ? 429 : 200, { 'retry-after': '0' }).end('busy'),
    );
    const { webhook, notices } = webhookTo(`http://127.0.0.1:${port}/`);
    webhook.send({ n: 1 });
    webhook.send({ n: 2 });
    expect(await notices.first(({ kind }) => kind === 'working')).toEqual({ kind: 'working' });
    await webhook.stop(stop());
    expect(posts.all.map(({ body }) => body)).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }, { n: 2 }]);
    expect(notices.all).toEqual([{ kind: 'failing', why: 'HTTP 503' }, { kind: 'working' }]);
    expect(webhook.counts).toMatchObject({ delivered: 2, retries: 2, dropped: none });
  });

  test('gives up what is refused for good, and what fails too often; the next one has its turn', async () => {
    const { posts, port } = await listening((response, n) =>
      response.writeHead(n === 1 ? 400 : n === 2 ? 302 : n <= 6 ? 500 : 200, { location: 'http://127.0.0.1:1/' }).end(),
    );
    const { webhook, notices } = webhookTo(`http://127.0.0.1:${port}/`);
    for (let n = 1; n <= 4; n++) webhook.send({ n });
    await notices.first(({ kind }) => kind === 'working');
    expect(posts.all).toHaveLength(7);
    expect(webhook.counts.dropped).toEqual({ ...none, refused: 2, failed: 1 });
    expect(notices.all.filter(({ kind }) => kind === 'given_up')).toEqual([
      { kind: 'given_up', why: 'HTTP 400' },
      { kind: 'given_up', why: 'HTTP 302' },
      { kind: 'given_up', why: 'HTTP 500' },
    ]);
  });

  test('that is away, or silent, is given up after its attempts', async () => {
    const { port } = await listening(() => undefined);
    const { webhook: silent, notices: words } = webhookTo(`http://127.0.0.1:${port}/`, { timeoutMs: 30 });
    silent.send({});
    expect(await words.first(({ kind }) => kind === 'given_up')).toMatchObject({ why: 'no answer within 30 ms' });
    const { webhook: away, notices } = webhookTo('http://127.0.0.1:1/');
    away.send({});
    expect(await notices.first(({ kind }) => kind === 'given_up')).toMatchObject({
      why: expect.stringContaining('ECONNREFUSED'),
    });
    expect(away.counts).toMatchObject({ retries: 3, dropped: { failed: 1 } });
  });

  test('never holds up who sends: the queue is bounded, the oldest that waits goes, and that is counted', async () => {
    const gate = Promise.withResolvers<void>();
    const { posts, port } = await listening((response) => void gate.promise.then(() => ok(response, 0)));
    const { webhook } = webhookTo(`http://127.0.0.1:${port}/`, { maxQueued: 3 });
    for (let n = 1; n <= 100; n++) webhook.send({ n });
    expect(webhook.counts).toMatchObject({ queued: 3, dropped: { full: 97 } });
    gate.resolve();
    await webhook.stop(stop());
    expect(posts.all.map(({ body }) => body)).toEqual([{ n: 1 }, { n: 99 }, { n: 100 }]);
  });

  test('stops with the deadline and counts what it could not deliver', async () => {
    const { port } = await listening(() => undefined);
    const { webhook } = webhookTo(`http://127.0.0.1:${port}/`);
    webhook.send({ n: 1 });
    webhook.send({ n: 2 });
    await webhook.stop(AbortSignal.timeout(20));
    webhook.send({ n: 3 });
    expect(webhook.counts).toEqual({ queued: 0, delivered: 0, retries: 0, dropped: { ...none, stopped: 3 } });
  });

  test('is spoken to over TLS, and only where its certificate is vouched for', async () => {
    using pki = newPki();
    const ca = pki.authority('ca');
    const { cert, key } = pki.issue('server', 'ca');
    const options = { cert: readFileSync(cert), key: readFileSync(key) };
    const { posts, port } = await listening(ok, (handler) => createSecureServer(options, handler));
    const { webhook } = webhookTo(`https://127.0.0.1:${port}/`, { tls: { ca: readFileSync(ca) } });
    webhook.send({ n: 1 });
    await posts.next();
    const { webhook: trusting, notices } = webhookTo(`https://127.0.0.1:${port}/`);
    trusting.send({ n: 2 });
    expect(await notices.first(({ kind }) => kind === 'given_up')).toMatchObject({
      why: expect.stringMatching(/cert/i),
    });
    expect(posts.all).toHaveLength(1);
  });
});
