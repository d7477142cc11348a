import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { createPrometheusScraper, type PrometheusScraper } from '../../agent/adapters/prometheus/scraper.ts';
import type { ScrapeNotice, ScrapeTarget } from '../../agent/adapters/prometheus/target.ts';
import { createEngine } from '../../agent/core/engine.ts';
import type { SampleBatch, SampleSink } from '../../agent/core/model.ts';
import { SeriesInterner } from '../../agent/core/series/interner.ts';
import { SeriesStore } from '../../agent/core/series/store.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { vllmPage } from '../unit/fixtures_prometheus/pages.ts';
import { type Point, pointsOf } from '../unit/fixtures_prometheus/reading.ts';
import { MemorySink } from './otlp_rig.ts';
import { type Answer, gzipped, openMetrics, type PageServer, servePages, status, text } from './prometheus_server.ts';

const T0 = 1_700_000_000_000;
const TARGET = { intervalMs: 60_000, timeoutMs: 10_000, maxBytes: 1024 ** 2, maxSeries: 1_000 };
const counter = (value: number): string => `# TYPE c_total counter\nc_total ${value}\n`;

interface Rig {
  readonly scraper: PrometheusScraper;
  readonly notices: ScrapeNotice[];
  readonly clock: { atMs: number; nowMs(): number };
  readonly sink: MemorySink;
  /** Scrapes, and gives the points that came of it. */
  scrape(atMs?: number): Promise<readonly Point[]>;
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve(...args: Parameters<typeof servePages>): Promise<PageServer> {
  const server = await servePages(...args);
  closing.push(() => server.close());
  return server;
}

function rig(targets: readonly (Partial<ScrapeTarget> & { readonly url: string })[], ownSink?: SampleSink): Rig {
  const notices: ScrapeNotice[] = [];
  const clock = { atMs: T0, nowMs: () => clock.atMs };
  const sink = new MemorySink();
  const scraper = createPrometheusScraper({
    targets: targets.map((target) => ({ component: 'chat', ...TARGET, ...target })),
    ...{ sink: ownSink ?? sink, clock, interner: new SeriesInterner({ maxSeries: 1_000 }) },
    observer: (notice) => notices.push(notice),
    random: () => 0,
  });
  closing.push(() => scraper.stop(AbortSignal.abort()));
  const scrape = async (atMs = clock.atMs + 1_000) => {
    clock.atMs = atMs;
    const before = sink.batches.length;
    await scraper.scrape();
    return sink.batches.slice(before).flatMap(pointsOf);
  };
  return { scraper, notices, clock, sink, scrape };
}

describe('a page', () => {
  it('becomes points of the component', async () => {
    const server = await serve(text(counter(5)));
    const { scrape, scraper, notices } = rig([{ url: server.url, labels: { zone: 'a' } }]);
    const points = await scrape(T0);
    expect(points).toMatchObject([{ name: 'c_total', kind: 'sum', value: 5, timeMs: T0 }]);
    expect(Object.fromEntries(points[0]!.series.resource)).toEqual({
      ...{ 'service.name': 'chat', 'service.instance.id': `127.0.0.1:${server.port}`, zone: 'a' },
    });
    expect(scraper.counts).toMatchObject({ scrapes: 1, pages: 1, points: 1, targetsUp: 1, targetsDown: 0 });
    expect(notices).toEqual([{ kind: 'target_up', url: server.url }]);
  });

  it('is asked for as OpenMetrics first, over one connection', async () => {
    const server = await serve(openMetrics('# TYPE c counter\nc_total 5\nc_created 1699999999.5\n# EOF\n'));
    const { scrape } = rig([{ url: server.url, timeoutMs: 2_500 }]);
    expect(await scrape(T0)).toMatchObject([{ name: 'c_total', startMs: T0 - 500 }]);
    for (let i = 0; i < 5; i++) await scrape();
    expect(server.connections).toBe(1);
    expect(server.requests[0]!.headers).toMatchObject({
      'accept-encoding': 'gzip',
      'x-prometheus-scrape-timeout-seconds': '2.5',
    });
    const accepted = server.requests[0]!.headers.accept!.split(',');
    expect(accepted[0]).toBe('application/openmetrics-text;version=1.0.0;q=0.5');
  });

  it('of no component belongs to the address, or to the machine', async () => {
    const server = await serve(text(counter(5)));
    const named = async (component: { component?: string | null }) => {
      const { component: _, ...target } = { ...TARGET, url: server.url, component: '' };
      const sink = new MemorySink();
      const scraper = createPrometheusScraper({
        targets: [{ ...target, ...component }],
        ...{ sink, clock: { nowMs: () => T0 }, interner: new SeriesInterner({ maxSeries: 10 }) },
      });
      await scraper.scrape();
      await scraper.stop(AbortSignal.abort());
      return sink.batches[0]!.series[0]!.resource.get('service.name');
    };
    expect(await named({})).toBe(`127.0.0.1:${server.port}`);
    expect(await named({ component: null })).toBeUndefined();
  });

  it('may be compressed', async () => {
    const server = await serve(gzipped(vllmPage({ finished: 3 })));
    const { scrape, scraper } = rig([{ url: server.url }]);
    expect((await scrape()).length).toBeGreaterThan(15);
    expect(scraper.counts.bytes).toBe(Buffer.byteLength(vllmPage({ finished: 3 })));
  });

  it('may be behind a redirect of the same server, and of no other', async () => {
    const server = await serve((request, response) => {
      if (request.url === '/metrics') status(307, { location: '/metrics/' })(request, response);
      else text(counter(5))(request, response);
    });
    const { scrape, scraper, notices } = rig([{ url: server.url, headers: { 'x-key': 'secret' } }]);
    expect(await scrape()).toHaveLength(1);
    expect(server.requests.map(({ url }) => url)).toEqual(['/metrics', '/metrics/']);

    const other = await serve(text(counter(5)));
    server.answer = status(302, { location: other.url });
    await scrape();
    expect(other.requests).toEqual([]);
    server.answer = status(302, { location: '/metrics' });
    await scrape();
    expect(scraper.counts.failures.status).toBe(2);
    expect(notices.at(-1)).toMatchObject({ reason: 'the answer redirects to another server' });
  });

  it('is asked for with headers and a token that is read anew each time', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'perfopt-scrape-'));
    closing.push(async () => rmSync(folder, { recursive: true }));
    const bearerTokenFile = join(folder, 'token');
    writeFileSync(bearerTokenFile, 'first\n');
    const server = await serve(text(counter(5)));
    const { scrape, scraper } = rig([{ url: server.url, headers: { 'X-Scope': 'a' }, bearerTokenFile }]);
    await scrape();
    writeFileSync(bearerTokenFile, 'second');
    await scrape();
    expect(server.requests.map(({ headers }) => [headers.authorization, headers['x-scope']])).toEqual([
      ['Bearer first', 'a'],
      ['Bearer second', 'a'],
    ]);
    rmSync(bearerTokenFile);
    await scrape();
    expect(server.requests).toHaveLength(2);
    expect(scraper.counts.failures.credentials).toBe(1);
  });

  it('that is partly bad is told once, and its good lines count', async () => {
    const server = await serve(text(`${counter(5)}broken {\n`));
    const { scrape, scraper, notices } = rig([{ url: server.url }]);
    expect(await scrape()).toHaveLength(1);
    expect(await scrape()).toHaveLength(1);
    expect(notices.map(({ kind }) => kind)).toEqual(['target_up', 'bad_lines']);
    expect(notices[1]).toMatchObject({ badLines: 1, errors: [{ line: 3, reason: 'no closing brace' }] });
    expect(scraper.counts.dropped.bad_line).toBe(2);
  });
});

describe('what a target does over time', () => {
  it('a counter that starts again is counted from zero, not backwards', async () => {
    const server = await serve(text(counter(100)));
    const { scrape, sink } = rig([{ url: server.url }]);
    const store = new SeriesStore({ maxSeries: 10 });
    for (const [value, atMs] of [
      [100, 0],
      [130, 5_000],
      [20, 10_000],
      [50, 15_000],
    ] as const) {
      server.answer = text(counter(value));
      await scrape(T0 + atMs);
    }
    const deltas = sink.batches.map((batch) => store.normalise(batch, 0)).map((it) => it?.kind === 'sum' && it.delta);
    expect(deltas).toEqual([false, 30, 20, 30]);
    expect(store.counts).toMatchObject({ resets: 1, baselines: 1 });
  });

  it('that goes away has its series ended once, and goes on where it left off', async () => {
    const server = await serve(text(counter(100)));
    const { scrape, scraper, notices } = rig([{ url: server.url }]);
    await scrape();
    await server.close();
    expect(await scrape(T0 + 5_000)).toMatchObject([{ name: 'c_total', hasEnded: true, timeMs: T0 + 5_000 }]);
    expect(await scrape()).toEqual([]);
    expect(scraper.counts).toMatchObject({ targetsUp: 0, targetsDown: 1, ended: 1, failures: { unreachable: 2 } });

    const { port } = server;
    await serve(text(counter(110)), port);
    expect(await scrape()).toMatchObject([{ value: 110, hasEnded: false }]);
    expect(scraper.counts).toMatchObject({ targetsUp: 1, targetsDown: 0 });
    expect(notices.map(({ kind }) => kind)).toEqual(['target_up', 'target_down', 'target_up']);
    expect(notices[1]).toMatchObject({ failure: 'unreachable', reason: expect.stringContaining('ECONNREFUSED') });
  });

  it('that closes a kept connection is asked again over a new one', async () => {
    const server = await serve((request, response) => {
      text(counter(5))(request, response);
      // Closes the connection under the second request, without an answer.
      if (server.requests.length === 1) {
        server.answer = (second) => {
          server.answer = text(counter(6));
          second.socket.destroy();
        };
      }
    });
    const { scrape, scraper } = rig([{ url: server.url }]);
    await scrape();
    expect(await scrape()).toMatchObject([{ value: 6, hasEnded: false }]);
    expect(server.requests).toHaveLength(3);
    expect(scraper.counts).toMatchObject({ scrapes: 2, pages: 2 });
  });

  it('its points are lost and nothing is when the inbox is full', async () => {
    const server = await serve(text(counter(100)));
    const { scrape, scraper, sink } = rig([{ url: server.url }]);
    const store = new SeriesStore({ maxSeries: 10 });
    await scrape(T0);
    server.answer = text(counter(110));
    sink.answer = { state: 'overloaded', retryAfterMs: 1_000 };
    await scrape(T0 + 5_000);
    server.answer = text(counter(125));
    sink.answer = { state: 'accepted', rejected: 0 };
    await scrape(T0 + 10_000);
    const [, second] = sink.batches.map((batch) => store.normalise(batch, 0));
    expect(second).toMatchObject({ delta: 25, startMs: T0, endMs: T0 + 10_000 });
    expect(scraper.counts.dropped.overloaded).toBe(1);
  });
});

it('a defect behind the scraper is told as one, and does not end it', async () => {
  const server = await serve(text(counter(1)));
  let isBroken = true;
  const { scraper, notices } = rig([{ url: server.url }], {
    accept() {
      if (isBroken) throw new TypeError('no such thing');
      return { state: 'accepted', rejected: 0 };
    },
  });
  await scraper.scrape();
  isBroken = false;
  await scraper.scrape();
  expect(notices.map(({ kind }) => kind)).toEqual(['defect', 'target_up']);
  expect(scraper.counts).toMatchObject({ points: 1, failures: { unreachable: 0, truncated: 0 } });
});

describe('a scrape that fails', () => {
  const fails = async (answer: Parameters<typeof servePages>[0], target: Partial<ScrapeTarget> = {}) => {
    const server = await serve(text(counter(1)));
    const { scrape, scraper, notices } = rig([{ ...target, url: server.url }]);
    await scrape();
    server.answer = answer;
    const points = await scrape();
    expect(points.map(({ hasEnded }) => hasEnded)).toEqual([true]);
    const { failures } = scraper.counts;
    const reason = notices.flatMap((notice) => (notice.kind === 'target_down' ? [notice.reason] : []))[0];
    // The target works again: nothing that went wrong stays.
    server.answer = text(counter(2));
    expect(await scrape()).toMatchObject([{ value: 2 }]);
    return { reason, failed: Object.entries(failures).flatMap(([failure, count]) => (count > 0 ? [failure] : [])) };
  };

  it.each<[string, Answer]>([
    ['the server never answers', () => {}],
    ['the page never ends', (_, response) => void response.write(counter(5))],
  ])('because %s', async (_, answer) => {
    const server = await serve(answer);
    const { scrape, scraper, notices } = rig([{ url: server.url, timeoutMs: 30 }]);
    expect(await scrape()).toEqual([]);
    expect(scraper.counts.failures.timeout).toBe(1);
    expect(notices).toEqual([
      { kind: 'target_down', url: server.url, failure: 'timeout', reason: 'no whole page within 30 ms' },
    ]);
  });

  it.each([500, 503, 404, 401, 204])('because the status is %d', async (code) => {
    expect(await fails(status(code))).toEqual({ failed: ['status'], reason: `the answer is status ${code}` });
  });

  it('because the page is too large, and no more of it is read', async () => {
    let written = 0;
    const endless: Answer = (_, response) => {
      const more = () => {
        written += 1;
        response.write(`${'x 1\n'.repeat(16_384)}`, more);
      };
      more();
    };
    const result = await fails(endless, { maxBytes: 200_000 });
    expect(result).toEqual({ failed: ['too_large'], reason: 'the page is larger than 200000 bytes' });
    expect(written).toBeLessThan(1_000);
  });

  it('because the page is small and decompresses to a large one', async () => {
    const bomb = gzipSync('a 1\n'.repeat(1_000_000));
    expect(bomb.length).toBeLessThan(20_000);
    const answer: Answer = (_, response) => {
      response.setHeader('content-encoding', 'gzip');
      response.end(bomb);
    };
    expect((await fails(answer, { maxBytes: 200_000 })).failed).toEqual(['too_large']);
  });

  it('because the page breaks off', async () => {
    const cut: Answer = (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write(counter(5), () => response.destroy());
    };
    expect((await fails(cut)).failed).toEqual(['truncated']);
  });

  it('because compressed data break off or are none', async () => {
    const page = gzipSync(vllmPage({ finished: 3 }));
    const answer =
      (body: Buffer): Answer =>
      (_, response) => {
        response.setHeader('content-encoding', 'gzip');
        response.end(body);
      };
    expect((await fails(answer(page.subarray(0, page.length / 2)))).failed).toEqual(['encoding']);
    expect((await fails(answer(Buffer.from(counter(5))))).failed).toEqual(['encoding']);
  });

  it('because OpenMetrics does not say that it has ended', async () => {
    const result = await fails(openMetrics('# TYPE c counter\nc_total 5\n'));
    expect(result).toEqual({ failed: ['truncated'], reason: 'the page does not end with "# EOF"' });
  });

  it('because it is encoded in a way that was not asked for', async () => {
    const { reason } = await fails(text(counter(5), { 'content-encoding': 'br' }));
    expect(reason).toBe('the page is encoded as br; allowed: gzip, identity');
  });

  it('because it is no page of metrics', async () => {
    const { failed, reason } = await fails(text('<html>\n<body>hello</body>\n</html>\n'));
    expect(failed).toEqual(['not_metrics']);
    expect(reason).toBe('no line can be read; line 1: a metric name cannot begin with "<"');
  });

  it('says nothing of a password in the address', async () => {
    const server = await serve(status(500));
    const { scrape, notices } = rig([{ url: server.url.replace('//', '//user:hunter2@') }]);
    await scrape();
    expect(server.requests[0]!.headers.authorization).toBe(`Basic ${btoa('user:hunter2')}`);
    expect(JSON.stringify(notices)).not.toContain('hunter2');
  });
});

describe('by itself', () => {
  it('scrapes at its interval, and not after stop', async () => {
    let page = 0;
    const server = await serve((request, response) => text(counter(page++))(request, response));
    const { scraper, sink } = rig([{ url: server.url, intervalMs: 5 }]);
    await scraper.start();
    await server.asked(5);
    await scraper.stop(AbortSignal.timeout(1_000));
    const { length } = sink.batches;
    await scraper.scrape();
    expect(sink.batches).toHaveLength(length);
    expect(scraper.counts.scrapes).toBeLessThanOrEqual(page + 1);
  });

  it('never has two scrapes of one target under way, and one slow target holds up no other', async () => {
    const slow = await serve(() => {});
    const quick = await serve(text(counter(1)));
    const { scraper } = rig([
      { url: slow.url, intervalMs: 5 },
      { url: quick.url, intervalMs: 5 },
    ]);
    await scraper.start();
    await slow.asked(1);
    await quick.asked(10);
    expect(slow.requests).toHaveLength(1);
    expect(scraper.counts.skipped).toBeGreaterThan(0);
    // What is under way is broken off, and that is no failure of the target.
    await scraper.stop(AbortSignal.timeout(1_000));
    expect(scraper.counts.failures.timeout).toBe(0);
    expect(scraper.counts.targetsDown).toBe(0);
  });
});

it('from the page of vLLM to the profile of a component', async () => {
  const engine = createEngine({ settings: DEFAULT_ENGINE_SETTINGS, seed: 1, epoch: 1 });
  const server = await serve(text(''));
  const { scrape, clock, scraper } = rig([{ url: server.url, component: 'chat' }], {
    accept(batch: SampleBatch) {
      engine.step(clock.atMs, { kind: 'samples', batch });
      return { state: 'accepted', rejected: 0 };
    },
  });
  const state = { createdSeconds: T0 / 1_000 - 3_600, processStartSeconds: T0 / 1_000 - 3_600 };
  for (let page = 0; page <= 6; page++) {
    // Half way the server is restarted, and was away for one scrape.
    const since = page < 4 ? { finished: 1_000 + 50 * page } : { finished: 50 * (page - 3) };
    const born = page < 4 ? state : { createdSeconds: T0 / 1_000 + 15, processStartSeconds: T0 / 1_000 + 15 };
    server.answer = openMetrics(vllmPage({ ...since, ...born, waiting: page }, 'openmetrics'));
    await scrape(T0 + 5_000 * page);
    if (page === 3) {
      server.answer = status(503);
      await scrape(T0 + 17_000);
    }
  }
  const { metrics } = engine.view('chat')!.profile!;
  // 150 before and 150 after the restart.
  expect(metrics.responseTime).toMatchObject({ average: expect.closeTo(400, 6), count: 300 });
  expect(metrics.throughput!.average).toBeCloseTo(10, 6);
  expect(metrics.errorRate).toBe(0);
  expect(metrics.queueDepth).toMatchObject({ current: 6, peak: 6 });
  expect(metrics.outputTokens!.average).toBeCloseTo(200, 6);
  expect(scraper.counts).toMatchObject({ pages: 7, failures: { status: 1 } });
  expect(engine.stats().series).toMatchObject({ invalid: 0, outOfOrder: 0 });
});
