import { afterEach, describe, expect, test } from 'vitest';
import { replay } from '../../agent/core/tune/replay.ts';
import { AgentProcess } from './agent_process.ts';
import { AiProcess, type AiProcessOptions } from './ai_process.ts';

const LONG = 120_000;
const agents: AgentProcess[] = [];
const processes: AiProcess[] = [];

afterEach(async () => {
  await Promise.all(processes.splice(0).map((process) => process.stop()));
  await Promise.all(agents.splice(0).map((agent) => agent.dispose()));
});

async function startAgent(config?: Readonly<Record<string, unknown>>): Promise<AgentProcess> {
  const agent = new AgentProcess();
  agents.push(agent);
  await agent.start(config);
  return agent;
}

async function startProcess(
  agent: AgentProcess,
  component: string,
  more: Partial<AiProcessOptions> = {},
): Promise<AiProcess> {
  const process = await AiProcess.start({
    component,
    otlpUrl: agent.otlpUrl,
    controlAddress: agent.controlAddress,
    latencyS: (batch) => 0.2 / batch ** 0.7,
    ...more,
  });
  processes.push(process);
  return process;
}

describe('the loop over real sockets', () => {
  test('real exporter in, command out, acknowledged, measured, proven, kept', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'embedder');
    const promoted = await agent.decision('embedder', ['promoted']);
    const effect = promoted.evidence?.effect;
    expect(effect?.high).toBeLessThan(0);
    // Fewer cannot multiply the stake to 1/α, however clear the gain.
    expect(promoted.evidence?.blocks.length).toBeGreaterThanOrEqual(4);
    expect(promoted.changes).toMatchObject([{ knob: 'batch_size', from: 1 }]);
    const kept = Number(promoted.changes[0].to);
    expect(kept).toBeGreaterThan(1);
    // Proven means in force: the process had acknowledged it before the decision was made.
    const started = agent
      .decisions()
      .find(({ kind, trialId }) => kind === 'trial_started' && trialId === promoted.trialId);
    expect(started?.evidence?.recorded).toEqual({ batch_size: 1 });
    await process.holds((value) => value >= kept / 4);
    // Whoever has the journal can compute it again.
    const { replayed, mismatches } = replay(agent.decisions());
    expect(replayed).toBeGreaterThan(0);
    expect(mismatches).toEqual([]);
  });

  test('two components at once: one is helped by its knob, the other is not', { timeout: LONG }, async () => {
    const agent = await startAgent();
    await startProcess(agent, 'helped', { seed: 1 });
    const indifferent = await startProcess(agent, 'indifferent', { seed: 2, latencyS: () => 0.05 });
    await Promise.all([
      agent.decision('helped', ['promoted']),
      agent.decision('indifferent', ['futile', 'rolled_back']),
    ]);
    const kept = agent.decisions().filter(({ kind, component }) => kind === 'promoted' && component === 'indifferent');
    expect(kept).toEqual([]);
    await indifferent.holds((value) => value === 1);
  });

  test('a setting that fails requests is abandoned at once and the recorded value restored', {
    timeout: LONG,
  }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'fragile', { failureRatio: (batch) => (batch > 1 ? 0.3 : 0) });
    const rolledBack = await agent.decision('fragile', ['rolled_back']);
    expect(rolledBack.reason).toContain('error ratio');
    expect(rolledBack.evidence?.recorded).toEqual({ batch_size: 1 });
    await process.holds((value) => value === 1);
  });
});

describe('when the agent dies', () => {
  test('the process is at its baseline within the lease, by itself, and serves on', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'embedder');
    await process.holds((value) => value > 1);
    await agent.kill();
    await process.status('disconnected');
    await process.holds((value) => value === 1);
    expect(process.batch.value).toBe(1);
  });

  test('killed in a trial and started again: what was not proven is taken back', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'embedder');
    await process.holds((value) => value > 1);
    await agent.kill();
    const before = agent.decisions();
    const open = before.findLast(({ kind }) => kind === 'trial_started');
    const from = agent.lines.length;
    await agent.start();
    const verdict = await agent.decision('embedder', ['rolled_back'], from);
    expect(verdict.trialId).toBe(open?.trialId);
    expect(verdict.reason).toContain('interrupted by a restart of the agent');
    await process.holds((value) => value === 1);
    // Nothing that was decided before the kill is lost, and it goes on from there.
    expect(agent.decisions().slice(0, before.length)).toEqual(before);
    await agent.decision('embedder', ['promoted'], from);
  });

  test('a proven value comes back with it, an unproven one never', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'embedder');
    const promoted = await agent.decision('embedder', ['promoted']);
    await agent.kill();
    await process.holds((value) => value === 1);
    const from = agent.lines.length;
    await agent.start({ optimization: { enabled: false } });
    await agent.line(({ msg }) => msg === 'session opened', from);
    const kept = agent.decisions().findLast(({ kind }) => kind === 'promoted') ?? promoted;
    await process.holds((value) => value === kept.changes[0].to);
  });

  test('asked to stop, it leaves in order and exits 0', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'embedder');
    await process.status('connected');
    expect(await agent.kill('SIGTERM')).toBe(0);
    await process.holds((value) => value === 1);
  });
});

describe('processes that do not play along', () => {
  test('one that rejects: said, never pushed again, left at its baseline', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'stubborn');
    const asked: number[] = [];
    process.batch.onChange((value) => {
      asked.push(value);
      if (value !== 1) throw new Error('the pool is fixed');
    });
    const rolledBack = await agent.decision('stubborn', ['rolled_back']);
    expect(rolledBack.reason).toContain('the pool is fixed');
    expect(process.batch.value).toBe(1);
    const from = agent.lines.length;
    await agent.decision('stubborn', ['rolled_back', 'futile'], from);
    const refused = asked.filter((value) => value !== 1);
    expect(new Set(refused).size).toBe(refused.length);
  });

  test('one that never answers: the values are revoked and the trial ends', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'silent');
    process.batch.onChange(() => new Promise<void>(() => {}));
    const rolledBack = await agent.decision('silent', ['rolled_back']);
    expect(rolledBack.trialId).toBeDefined();
    await process.holds((value) => value === 1);
  });

  test('one that lies: what it reads back is believed, not what it acknowledges', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await AiProcess.start({
      component: 'liar',
      otlpUrl: agent.otlpUrl,
      controlAddress: agent.controlAddress,
      latencyS: () => 0.05,
      readBack: () => 7,
    });
    processes.push(process);
    const rolledBack = await agent.decision('liar', ['rolled_back', 'frozen']);
    expect(rolledBack.reason).toMatch(/reads back 7|did not take its values back/);
  });

  test('a hand on the knob wins: pinned, announced, left alone', { timeout: LONG }, async () => {
    const agent = await startAgent();
    const process = await startProcess(agent, 'embedder');
    await process.holds((value) => value > 1);
    process.batch.set(3);
    const pinned = await agent.decision('embedder', ['pinned']);
    expect(pinned.reason).toContain('by hand');
    const from = agent.lines.length;
    await agent.line(({ component, kind }) => component === 'embedder' && kind !== undefined, from - 2);
    expect(process.batch.value).toBe(3);
  });
});
