import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { FakeUpstream, startUpstream, TAKEN, temporaryFolder } from './upstream_rig.ts';

/** Requests acknowledged until the child is killed with -9 after `killAfter` of them. */
async function runUntilKilled(server: FakeUpstream, path: string, round: number, killAfter: number): Promise<string[]> {
  const script = join(import.meta.dirname, 'upstream_child.ts');
  const child = spawn(process.execPath, [script, server.protocol, server.endpoint, path, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const acknowledged: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') continue;
    acknowledged.push(line);
    if (acknowledged.length === killAfter) child.kill('SIGKILL');
  }
  expect(await exited).toEqual([null, 'SIGKILL']);
  return acknowledged;
}

describe.each(['grpc', 'http'] as const)('kill -9, over %s', (protocol) => {
  it('loses nothing that was acknowledged, keeps each signal in order, and knows how many may be duplicates', async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'queue.db');
    await using server = await new FakeUpstream(protocol).start();
    const busy = protocol === 'grpc' ? undefined : { state: 'http' as const, code: 503 };
    let attempts = 0;
    server.reply = () => (++attempts % 7 === 0 ? busy : TAKEN);

    const acknowledged = await runUntilKilled(server, path, 0, 40);
    await server.stop();
    acknowledged.push(...(await runUntilKilled(server, path, 1, 120)));
    await server.start();
    server.reply = () => TAKEN;
    acknowledged.push(...(await runUntilKilled(server, path, 2, 60)));

    const before = server.arrived.length;
    await using last = await startUpstream(server, { queue: { path } });
    const ids = (): string[] => server.arrived.map(({ body }) => body.toString().split(' ')[0] ?? '');
    await server.until(() => {
      const have = new Set(ids());
      return acknowledged.every((id) => have.has(id));
    });
    await last.stop();

    expect(acknowledged.length).toBeGreaterThanOrEqual(220);
    const seen = new Set(ids());
    expect(acknowledged.filter((id) => !seen.has(id))).toEqual([]);
    // In order, except that a restart goes back to what had no answer yet.
    for (const signal of ['metrics', 'traces', 'logs']) {
      const firstTimes = [
        ...new Set(server.arrived.filter((one) => one.signal === signal).map(({ body }) => rank(body))),
      ];
      expect(firstTimes).toEqual([...firstTimes].sort((a, b) => a - b));
    }
    // Every second delivery of a request was foreseen: the first run had handed it out before it was killed.
    const known = new Set(ids().slice(0, before));
    const repeated = ids()
      .slice(before)
      .filter((id) => known.has(id)).length;
    const { metrics, traces, logs } = last.upstream.status().signals;
    const foreseen = [metrics, traces, logs].reduce((sum, { counters }) => sum + counters.possibleDuplicates, 0);
    expect(repeated).toBeLessThanOrEqual(foreseen);
  });
});

/** `2-17 xxx` → 2,000,017 */
function rank(body: Buffer): number {
  const [round = '', n = ''] = (body.toString().split(' ')[0] ?? '').split('-');
  return Number(round) * 1e6 + Number(n);
}
