import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { connectTuner } from '../../agent/client/typescript/tuner.ts';
import { AgentProcess } from './agent_process.ts';
import { AiProcess } from './ai_process.ts';

const METHOD = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function newAgent(): AgentProcess {
  const agent = new AgentProcess();
  undo.push(() => agent.dispose());
  return agent;
}

/** The code that a raw request is answered with; 0 is success. */
function exportBytes(url: string, body: Buffer): Promise<number> {
  const client = new Client(url.replace('http://', ''), credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
  });
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(METHOD, same, same, body, new Metadata(), (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

describe('a start that cannot work says what, where and what is allowed', () => {
  test('an unknown key', async () => {
    const agent = newAgent();
    await expect(agent.start({ tunning: { tick: 20 } })).rejects.toThrow(/ended/);
    expect(agent.tail()).toMatch(/tunning.*tuning/);
  });

  test('a port in use', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    undo.push(() => new Promise((resolve) => taken.close(resolve)));
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const agent = newAgent();
    const start = agent.start({
      receivers: { otlp: { grpc: { address: `127.0.0.1:${port}` }, http: { address: null } } },
    });
    await expect(start).rejects.toThrow(new RegExp(`127\\.0\\.0\\.1:${port}`));
  });

  test('a state file that cannot be written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'perfopt-state-'));
    undo.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'file'), '');
    const agent = newAgent();
    const path = join(folder, 'file', 'state.db');
    await expect(agent.start({ state: { path } })).rejects.toThrow(path);
  });

  test('a second agent on the same state', async () => {
    const first = newAgent();
    await first.start();
    const second = newAgent();
    const start = second.start({ state: { path: join(first.folder, 'state.db') } });
    await expect(start).rejects.toThrow('another agent is using it');
  });
});

describe('a start that can work does', () => {
  test('over the socket file and the lock of an agent that was killed', async () => {
    const agent = newAgent();
    await agent.start();
    await agent.kill('SIGKILL');
    await agent.start();
    const restarted = await startProcess(agent);
    await restarted.status('connected');
  });

  test('over a corrupt state file, which is set aside and said loudly', async () => {
    const agent = newAgent();
    await agent.start();
    await agent.kill('SIGKILL');
    writeFileSync(join(agent.folder, 'state.db'), 'this is no database'.repeat(1_000));
    // The log beside it still holds every page: with it, nothing would be lost and there would be nothing to say.
    rmSync(join(agent.folder, 'state.db-wal'), { force: true });
    const from = agent.lines.length;
    await agent.start();
    expect(agent.lines.slice(from).some(({ msg, level }) => level === 'error' && /set aside|corrupt/.test(msg))).toBe(
      true,
    );
  });
});

describe('what comes over the wire never takes the agent down', () => {
  test('hostile bytes, a request of 100 MB, and a manifest of 10,000 knobs: refused, while an honest process goes on', async () => {
    const agent = newAgent();
    await agent.start();
    const honest = await startProcess(agent);
    await honest.status('connected');
    expect(await exportBytes(agent.otlpUrl, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]))).toBe(
      status.INVALID_ARGUMENT,
    );
    expect(await exportBytes(agent.otlpUrl, Buffer.alloc(100 * 1024 * 1024))).toBe(status.RESOURCE_EXHAUSTED);

    // The client says it where a Node process says such things, once, and serves on at its defaults.
    const refused = new Promise<string>((resolve) => {
      process.on('warning', ({ name, message }) => {
        if (name === 'TunerWarning') resolve(message);
      });
    });
    await declareMany(agent, 10_000);
    expect(await refused).toMatch(/10000|10,000|256/);
    const from = agent.lines.length;
    await agent.decision('honest', ['trial_started', 'promoted', 'futile', 'rolled_back'], from);
    expect(await exportBytes(agent.otlpUrl, Buffer.alloc(0))).toBe(status.OK);
  });
});

async function startProcess(agent: AgentProcess): Promise<AiProcess> {
  const process = await AiProcess.start({
    component: 'honest',
    otlpUrl: agent.otlpUrl,
    controlAddress: agent.controlAddress,
    latencyS: (batch) => 0.2 / batch ** 0.7,
  });
  undo.push(() => process.stop());
  return process;
}

async function declareMany(agent: AgentProcess, count: number): Promise<void> {
  const tuner = await connectTuner({ component: 'greedy', tier: 'research', address: agent.controlAddress });
  undo.push(() => tuner.close());
  for (let i = 0; i < count; i++) tuner.int(`knob_${i}`, { default: 1, min: 1, max: 2 });
}
