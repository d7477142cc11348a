import { Client, credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { Tier } from '../../agent/core/model.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import type { ResourceUsage } from '../../agent/core/profile/resource_window.ts';
import { DEFAULT_RESOURCE_SETTINGS, ResourceManager } from '../../agent/core/resources.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { resourceReader } from '../../agent/sidecar/resources.ts';
import { perfopt } from './command_rig.ts';
import { ask, startRig } from './control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function profile(component: string, cpu: ResourceUsage): PerformanceProfile {
  return {
    ...{ component, atMs: 0, windowMs: 500_000, metrics: {}, resources: { cpu } },
    optimization: { lastOptimized: 0, optimizations: 0 },
  };
}

function cpu(percent: number, scope: ResourceUsage['scope']): ResourceUsage {
  return { usage: percent, average: percent, peak: percent, capacity: 4, scope, utilizationRatio: percent / 100 };
}

function component(name: string, tier: Tier, percent: number) {
  return { component: name, tier, profile: profile(name, cpu(percent, 'process')) };
}

async function agent(components: readonly ReturnType<typeof component>[]): Promise<string> {
  const manager = new ResourceManager(DEFAULT_RESOURCE_SETTINGS, {
    nowMs: () => 1_700_000_000_000,
    machine: () => profile('', cpu(100, 'host')),
    components: () => components,
    forecastHigh: () => undefined,
  });
  const rig = await startRig({ listen: ['127.0.0.1:0'] }, { resources: resourceReader(manager) });
  cleanups.push(rig.stop);
  return rig.address;
}

const two = [component('chat', 'stable', 50), component('batch', 'research', 50)];

describe('OptimizeResourceAllocation', () => {
  async function allocationOf(address: string, name: string) {
    const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    cleanups.push(() => client.close());
    return ask(client, TuningService.method.optimizeResourceAllocation, { component: name });
  }

  test('says who should get how much, what is short, and why', async () => {
    const answer = await allocationOf(await agent(two), '');
    expect(answer.pools).toMatchObject([{ resource: 'cpu', unit: '{cpu}', capacity: expect.closeTo(3.2, 9) }]);
    expect(answer.grants).toMatchObject([
      { component: 'chat', granted: expect.closeTo(2.4, 9), weight: 8, boundBy: 'demand' },
      { component: 'batch', granted: expect.closeTo(0.8, 9), demand: expect.closeTo(2.4, 9), boundBy: 'capacity' },
    ]);
    expect(answer.bottlenecks).toMatchObject([{ component: '@host', kind: 'utilization', resource: 'cpu', score: 1 }]);
    expect(answer.applied).toEqual([]);
  });

  test('shows one component of all, and lists the known ones where there is no such', async () => {
    const address = await agent(two);
    const answer = await allocationOf(address, 'batch');
    expect(answer.grants.map(({ component }) => component)).toEqual(['batch']);
    expect(answer.grants[0]?.granted).toBeCloseTo(0.8, 9);
    await expect(allocationOf(address, 'nobody')).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: 'there is no component "nobody"; known: chat, batch',
    });
  });
});

describe('perfopt allocation', () => {
  test('prints a table for humans, and JSON', async () => {
    const address = await agent(two);
    const { code, out } = await perfopt('allocation', '--address', address);
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      'cpu 3.2 cores to give, 0 cores free (of 4 cores 80 % may be used)',
      'component  gets       asks       uses     weight  why',
      'chat       2.4 cores  2.4 cores  2 cores  8       uses 2 (peak 2, 20 % headroom), so asks for 2.4 and gets all of it',
      'batch      0.8 cores  2.4 cores  2 cores  1       uses 2 (peak 2, 20 % headroom), so asks for 2.4; gets 0.8 by its weight of 1 in 9',
      '',
      'what is short, worst first',
      '  1  the machine uses 100 % of its cpu, above the threshold of 80 %',
    ]);
    const json = JSON.parse((await perfopt('allocation', 'chat', '--json', '--address', address)).out);
    expect(json.grants).toMatchObject([{ component: 'chat', boundBy: 'demand' }]);
  });

  test('says so where nothing is known yet, and who is known', async () => {
    expect((await perfopt('allocation', '--address', await agent([]))).out).toContain('the machine uses 100 %');
    const { code, err } = await perfopt('allocation', 'nobody', '--address', await agent(two));
    expect({ code, err }).toEqual({ code: 1, err: 'there is no component "nobody"; known: chat, batch' });
  });
});
