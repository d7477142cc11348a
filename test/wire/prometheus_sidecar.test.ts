import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { parseConfig } from '../../agent/config/load.ts';
import { startSidecar } from '../../agent/sidecar.ts';
import { vllmPage } from '../unit/fixtures_prometheus/pages.ts';
import { openMetrics, servePages } from './prometheus_server.ts';

it('the agent scrapes what its configuration names, says so, and stops', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'perfopt-sidecar-'));
  let finished = 0;
  await using server = await servePages((request, response) => {
    finished += 10;
    openMetrics(vllmPage({ finished }, 'openmetrics'))(request, response);
  });
  const loaded = parseConfig(
    `
receivers:
  otlp: { grpc: { address: "127.0.0.1:0" }, http: { address: null } }
  prometheus:
    targets:
      - { url: "${server.url}", component: chat, interval: 100ms, timeout: 100ms }
web: { address: "127.0.0.1:0" }
control: { socket: null, address: "127.0.0.1:0" }
state: { path: "${join(folder, 'state.db')}" }
`,
    {},
  );
  if (!loaded.ok) throw new Error(loaded.message);
  const logged: { readonly level: number; readonly msg: string }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const sidecar = await startSidecar(loaded.config, { log, version: '0.0.0', seed: 1 });
  try {
    await server.asked(3);
  } finally {
    await sidecar.stop(AbortSignal.timeout(10_000));
    rmSync(folder, { recursive: true });
  }
  expect(logged).toContainEqual(expect.objectContaining({ msg: 'the page is scraped', url: server.url }));
  const levels = logged.map(({ level }) => level);
  expect(Math.max(...levels)).toBeLessThan(50);
});
