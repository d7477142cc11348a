import { afterEach, expect, test } from 'vitest';
import { ALLOCATION, Embedder, embedded, next, underLoad } from '../unit/optimizer_rig.ts';
import { AgentProcess } from './agent_process.ts';

const agents: AgentProcess[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.dispose();
});

test('the engine in an agent elsewhere: reports, is tuned, answers, and is itself again when the agent dies', {
  timeout: 120_000,
}, async () => {
  const agent = new AgentProcess();
  agents.push(agent);
  await agent.start();
  const component = new Embedder(
    { batch: 1, port: 8080 },
    { batch: { min: 1, max: 64, settleMs: 0, role: 'priority' } },
  );
  const config = {
    monitoring: { interval: 200 },
    tuning: { tick: 50 },
    agent: { address: agent.controlAddress, otlpEndpoint: agent.otlpUrl },
  };
  const { optimizer } = await embedded([component], config);
  optimizer.registerStrategy({
    name: 'Larger batches',
    applicableTiers: ['research'],
    canApply: (profile) => profile.metrics.responseTime.average > 1,
    apply: async (handed) => {
      handed.config.batch = 32;
    },
  });
  const applied = await underLoad(optimizer, component, next(optimizer, 'optimization_applied'));
  expect(applied.data).toMatchObject({ strategy: 'Larger batches', changes: [{ knob: 'batch', from: 1 }] });
  expect(applied.data.result.results.improvement).toBeGreaterThan(0.3);
  expect(component.config).toEqual({ batch: applied.data.changes[0]?.to, port: 8080 });
  expect(component.config.batch).toBeGreaterThan(8);
  const response = await optimizer.executeWithMonitoring(component, { id: 'a' }, ALLOCATION);
  expect(response).toMatchObject({ result: 'vector of a', optimized: true });

  const result = await optimizer.optimizePerformance(component, { id: 'q' });
  expect(result).toMatchObject({ applied: true, optimization: 'Larger batches' });
  let profile = await optimizer.getComponentProfile('embedder');
  // The agent samples processes every 5 s: a proof may be quicker than that.
  while (profile.resources.memory?.efficiency === undefined) {
    await optimizer.executeWithMonitoring(component, {}, ALLOCATION);
    profile = await optimizer.getComponentProfile('embedder');
  }
  expect(profile.metrics.responseTime.average).toBeGreaterThan(1);
  expect(profile.resources.memory.efficiency).toBeGreaterThan(0);
  const analytics = await optimizer.getPerformanceAnalytics();
  expect(analytics.system.totalThroughput).toBeGreaterThan(0);
  expect((await optimizer.healthCheck()).metrics?.responseTime).toBeGreaterThan(1);
  await expect(optimizer.getComponentProfile('nobody')).rejects.toThrow('unknown component "nobody"; known: embedder');

  await agent.kill();
  // Its lease of 1.5 s runs out in this process, by itself.
  while (component.config.batch !== 1) {
    await optimizer.executeWithMonitoring(component, {}, ALLOCATION);
  }
  await expect(optimizer.getPerformanceSnapshot()).rejects.toThrow(/UNAVAILABLE/);
});
