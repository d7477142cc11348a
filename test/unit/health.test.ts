import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Health, healthOf, DEFAULT_HEALTH_THRESHOLDS as THRESHOLDS } from '../../agent/core/health.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';

interface Facts {
  readonly p95?: number;
  readonly errorRate?: number;
  readonly cpu?: number;
  readonly memory?: number;
}
function profile({ p95, errorRate, cpu, memory }: Facts): PerformanceProfile {
  const usage = (ratio: number) => ({
    usage: 1,
    average: 1,
    peak: 1,
    scope: 'process' as const,
    utilizationRatio: ratio,
  });
  return {
    component: 'chat',
    atMs: 0,
    windowMs: 500_000,
    metrics: {
      ...(p95 !== undefined && { responseTime: { current: p95, average: p95, p95, p99: p95, count: 1 } }),
      ...(errorRate !== undefined && { errorRate }),
    },
    resources: {
      ...(cpu !== undefined && { cpu: usage(cpu) }),
      ...(memory !== undefined && { memory: usage(memory) }),
    },
    optimization: { lastOptimized: 0, optimizations: 0 },
  };
}
function score(facts: Facts): number {
  const health = healthOf(profile(facts), THRESHOLDS);
  if (health.status === 'unknown') throw new Error('nothing was measured');
  return health.score;
}

describe('health', () => {
  it('is unknown, without a score, where nothing was measured', () => {
    expect(healthOf(profile({}), THRESHOLDS)).toEqual({ status: 'unknown' });
  });

  it.each([
    [{ p95: 5 }, 1],
    [{ p95: 10 }, 1],
    [{ p95: 50 }, 0.95],
    [{ p95: 200 }, 0.8],
    [{ p95: 1_000 }, 0.4],
    [{ p95: 20_000 }, 0],
    [{ p95: 0 }, 1],
    [{ errorRate: 0 }, 1],
    [{ errorRate: 0.02 }, 0.8],
    [{ errorRate: 0.1 }, 0],
    [{ errorRate: 1 }, 0],
    [{ cpu: 0.4 }, 1],
    [{ cpu: 0.8 }, 0.8],
    [{ cpu: 1 }, 0.4],
    [{ memory: 0.85 }, 0.8],
  ])('%o scores %d', (facts, expected) => {
    expect(score(facts)).toBeCloseTo(expected, 12);
  });

  it('is that of the weakest part, which it names', () => {
    const health = healthOf(profile({ p95: 5, errorRate: 0.06, cpu: 0.1 }), THRESHOLDS);
    expect(health).toMatchObject<Partial<Health>>({ status: 'unhealthy', worst: 'reliability' });
    expect(health).toHaveProperty('parts', { responseTime: 1, reliability: expect.closeTo(0.4, 12), cpu: 1 });
  });

  it.each([
    [{ p95: 199 }, 'healthy'],
    [{ p95: 300 }, 'degraded'],
    [{ p95: 1_000 }, 'unhealthy'],
  ])('%o is %s', (facts, status) => {
    expect(healthOf(profile(facts), THRESHOLDS).status).toBe(status);
  });

  it('lies in [0, 1] and is never better when something is worse', () => {
    const ratio = fc.double({ min: 0, max: 1, noNaN: true });
    const facts = fc.record({
      p95: fc.double({ min: 0, max: 1e6, noNaN: true }),
      errorRate: ratio,
      cpu: ratio,
      memory: ratio,
    });
    fc.assert(
      fc.property(facts, facts, (one, other) => {
        const worse = {
          p95: Math.max(one.p95, other.p95),
          errorRate: Math.max(one.errorRate, other.errorRate),
          cpu: Math.max(one.cpu, other.cpu),
          memory: Math.max(one.memory, other.memory),
        };
        expect(score(one)).toBeGreaterThanOrEqual(0);
        expect(score(one)).toBeLessThanOrEqual(1);
        expect(score(worse)).toBeLessThanOrEqual(score(one) + 1e-12);
      }),
    );
  });
});
