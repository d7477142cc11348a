import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCommandLine } from '../../agent/command/command.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'agent', 'main.ts');
let folder = '';
let children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfopt-run-'));
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  rmSync(folder, { recursive: true });
});

/** An agent of its own, on ports of its own, with its log as objects. */
function start(more = '', otlp = '127.0.0.1:0') {
  const file = join(folder, 'agent.yaml');
  writeFileSync(
    file,
    [
      `state: { path: "${folder}/state.db" }`,
      `control: { address: "127.0.0.1:0", socket: "${folder}/control.sock" }`,
      `receivers: { otlp: { grpc: { address: "${otlp}" }, http: { address: null } } }`,
      'web: { address: null }',
      more,
    ].join('\n'),
  );
  const child = spawn(process.execPath, [MAIN, 'run', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const log: Record<string, unknown>[] = [];
  const text: string[] = [];
  const waiting: { msg: string; resolve: (record: Record<string, unknown>) => void }[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    text.push(line);
    if (!line.startsWith('{')) return;
    const record: Record<string, unknown> = JSON.parse(line);
    log.push(record);
    for (const { msg, resolve } of waiting) if (record.msg === msg) resolve(record);
  });
  const closed = once(child, 'close').then(([code]) => code);
  const said = (msg: string): Promise<Record<string, unknown>> => {
    const known = log.find((record) => record.msg === msg);
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    if (known !== undefined) resolve(known);
    waiting.push({ msg, resolve });
    void closed.then(() => reject(new Error(`the agent ended without saying "${msg}":\n${text.join('\n')}`)));
    return promise;
  };
  return { child, log, text, closed, said };
}

describe('perfopt run', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('is ready, stops in order on %s, and starts again', async (signal) => {
    const epochs: unknown[] = [];
    for (let n = 0; n < 2; n++) {
      const { child, closed, said, log } = start();
      epochs.push((await said('the agent is ready')).epoch);
      child.kill(signal);
      expect(await closed).toBe(0);
      expect(log.at(-1)).toMatchObject({ msg: 'stopped', level: 'info' });
    }
    expect(Number(epochs[1])).toBeGreaterThan(Number(epochs[0]));
  });

  test('refuses a bad configuration with exit code 1', async () => {
    const { closed, text } = start('debgu: true');
    expect(await closed).toBe(1);
    expect(text.join('\n')).toContain('agent.yaml:5: debgu: unknown key; did you mean "debug"?');
  });

  test('a signal during the start is obeyed, and a second one ends the process at once', async () => {
    const file = join(folder, 'agent.yaml');
    writeFileSync(
      file,
      [
        `state: { path: "${folder}/state.db" }`,
        `control: { address: null, socket: "${folder}/control.sock" }`,
        'receivers: { otlp: { grpc: { address: "127.0.0.1:0" }, http: { address: null } } }',
        'web: { address: null }',
        'log: { level: silent }',
      ].join('\n'),
    );
    const exits: number[] = [];
    const ended = runCommandLine({
      argv: ['run', '--config', file],
      environment: {},
      out: () => undefined,
      err: () => undefined,
      hasColours: false,
      onSignal(handler) {
        handler('SIGTERM');
        handler('SIGINT');
        return () => undefined;
      },
      exit: (code) => exits.push(code),
    });
    expect(await ended).toBe(0);
    expect(exits).toEqual([128 + 2, 0]);
  });

  test('a second agent on the same state file ends with exit code 1, and the first goes on', async () => {
    const first = start();
    await first.said('the agent is ready');
    const second = start();
    expect(await second.closed).toBe(1);
    expect(second.log.at(-1)).toMatchObject({
      level: 'fatal',
      msg: expect.stringContaining('another agent is using it'),
    });
    first.child.kill('SIGTERM');
    expect(await first.closed).toBe(0);
  });

  test('a port in use ends with exit code 1 and names the address', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const bound = taken.address();
    const address = `127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`;
    const { closed, log } = start('', address);
    expect(await closed).toBe(1);
    expect(log.at(-1)).toMatchObject({ level: 'fatal', msg: expect.stringContaining(address) });
    taken.close();
  });
});
