import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { Adviser, type AdviserOptions, type AdviserState } from '../../agent/core/advice/adviser.ts';
import { draftsFor, type Facts } from '../../agent/core/advice/drafts.ts';
import { knobSteps, limitSteps, modeSteps, replicaSteps } from '../../agent/core/advice/steps.ts';
import type { MeasuredResult } from '../../agent/core/analytics/results.ts';
import type { View } from '../../agent/core/engine.ts';
import type { CapacityReport } from '../../agent/core/forecast/capacity.ts';
import { CapacityCache } from '../../agent/core/forecast/capacity-cache.ts';
import { DEFAULT_HEALTH_THRESHOLDS as THRESHOLDS } from '../../agent/core/health.ts';
import type { Decision, KnobMode, NumericKnobSpec } from '../../agent/core/model.ts';
import type { PerformanceProfile } from '../../agent/core/profile/performance_profile.ts';
import type { ResourceUsage } from '../../agent/core/profile/resource_window.ts';
import type { Bottleneck } from '../../agent/core/resources/bottleneck.ts';
import type { KnobView, TunerView } from '../../agent/core/tune/view.ts';

const MINUTE = 60_000;

function spec(fields: Partial<NumericKnobSpec> = {}): NumericKnobSpec {
  return {
    ...{ id: 'batch_size', type: 'int', description: '', unit: '', role: 'batch', applyClass: 'hot', settleMs: 0 },
    ...{ ceilingAtBoot: false, min: 1, max: 64, scale: 'linear', baseline: 1 },
    ...fields,
  };
}

function tuning(fields: Partial<NumericKnobSpec> = {}, mode: KnobMode = 'recommend', effective = 1): TunerView {
  const declared = spec(fields);
  const knob: KnobView = {
    ...{ spec: declared, desired: effective, effective, attemptedRevision: 0, effectiveRevision: 0 },
    ...{ mode, pinned: false, incumbent: effective, settleMs: 0 },
  };
  return {
    ...{ tier: 'stable', phase: 'waiting', connected: true, actuator: 'settled', settled: true },
    ...{ incumbent: { [declared.id]: effective }, effective: { [declared.id]: effective }, knobs: [knob] },
    ...{ proposals: [], revisions: [], pareto: [], rules: [], walletBalance: 1, alpha: 0.05 },
    audit: { runs: 0, accepts: 0, low: 0, high: 1, levelFactor: 1 },
  };
}

function usage(fields: Partial<ResourceUsage>): ResourceUsage {
  return { usage: 1, average: 1, peak: 1, scope: 'container', ...fields };
}

function profile(fields: Partial<PerformanceProfile> = {}): PerformanceProfile {
  return {
    ...{ component: 'chat', atMs: 0, windowMs: 500_000, metrics: {}, resources: {} },
    optimization: { lastOptimized: 0, optimizations: 0 },
    ...fields,
  };
}

function bottleneck(fields: Partial<Bottleneck>): Bottleneck {
  return { component: 'chat', kind: 'utilization', score: 0.5, reason: 'chat is short', signals: {}, ...fields };
}

function decision(fields: Partial<Decision> = {}): Decision {
  return {
    ...{ id: 'd1', atMs: 1_000, component: 'chat', kind: 'recommended', strategy: 'Batch Optimization' },
    ...{ changes: [{ knob: 'batch_size', from: 1, to: 16 }], reason: 'larger batches pay' },
    ...fields,
  };
}

/** An agent whose every part is what the test says. */
class FakeAgent {
  views: View[] = [{ component: 'chat', atMs: 0, profile: profile(), tuning: tuning() }];
  bottlenecks: Bottleneck[] = [];
  results: MeasuredResult[] = [];
  capacity: CapacityReport | undefined;
  machine: PerformanceProfile = profile({
    resources: { cpu: usage({ capacity: 16 }), memory: usage({ capacity: 64_000 }) },
  });

  adviser(saved?: AdviserState): Adviser {
    const options: AdviserOptions = {
      engine: {
        epoch: 7,
        components: () => this.views.map(({ component }) => component),
        view: (component) => this.views.find((view) => view.component === component),
        machine: () => this.machine,
      },
      capacity: new CapacityCache(() => this.capacity),
      results: { all: () => this.results },
      thresholds: () => THRESHOLDS,
      bottlenecks: () => this.bottlenecks,
      ...(saved !== undefined && { saved }),
    };
    return new Adviser(options);
  }
}

describe('steps', () => {
  const change = { knob: 'max_model_len', from: 8_192, to: 4_096 };

  test('of a knob that can be moved while the process runs: the value, and the command', () => {
    expect(knobSteps('chat', { knob: 'batch_size', from: 1, to: 16 }, spec({ unit: '{request}' }))).toEqual([
      { kind: 'knob', text: 'batch_size: 1 → 16 {request}' },
      { kind: 'command', text: 'perfopt pin chat batch_size 16' },
    ]);
  });

  test('of one that needs a restart: flag, variable and manifest, as far as they were declared; no command', () => {
    const declared = spec({ applyClass: 'restart', bootFlag: '--max-model-len', bootVariable: 'MAX_MODEL_LEN' });
    const steps = knobSteps('chat', change, declared);
    expect(steps).toEqual([
      { kind: 'knob', text: 'max_model_len: 8192 → 4096 (at the next start)' },
      { kind: 'flag', text: '--max-model-len 4096' },
      { kind: 'manifest', text: 'args: ["--max-model-len", "4096"]' },
      { kind: 'environment', text: 'MAX_MODEL_LEN=4096' },
      { kind: 'manifest', text: 'env:\n  - name: MAX_MODEL_LEN\n    value: "4096"' },
    ]);
    expect(steps.filter(({ kind }) => kind === 'manifest').map(({ text }) => parse(text))).toEqual([
      { args: ['--max-model-len', '4096'] },
      { env: [{ name: 'MAX_MODEL_LEN', value: '4096' }] },
    ]);
    expect(knobSteps('chat', change, spec({ applyClass: 'restart' }))).toHaveLength(1);
  });

  test('of limits and replicas are valid manifests, rounded up', () => {
    expect(limitSteps('cpu', 2.31).map(({ text }) => text)).toEqual([
      'resources:\n  limits:\n    cpu: "2.4"',
      'docker update --cpus 2.4 CONTAINER',
      'systemctl set-property UNIT CPUQuota=240%',
    ]);
    expect(parse(limitSteps('memory', 1_000.5)[0]?.text ?? '')).toEqual({
      resources: { limits: { memory: '1008Mi' } },
    });
    expect(parse(replicaSteps(3)[0]?.text ?? '')).toEqual({ spec: { replicas: 3 } });
  });

  it('mean to a shell what they say, whatever a component or value is called', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }), (component) => {
        const text = modeSteps(component, 'approve')[0]?.text ?? '';
        const words = execFileSync('sh', ['-c', `set -- ${text}; printf '%s' "$3"`], { encoding: 'utf8' });
        expect(words).toBe(component);
      }),
      { numRuns: 25 },
    );
  });
});

describe('drafts', () => {
  const facts = (fields: Partial<Facts>): Facts => ({
    ...{ component: 'chat', health: { status: 'unknown' }, bottlenecks: [], machine: { cpu: 16, memory: 64_000 } },
    ...fields,
  });
  const throttled = profile({
    resources: { cpu: usage({ usage: 90, peak: 100, capacity: 2, utilizationRatio: 0.9 }) },
    stalls: { cpuThrottled: { current: 0.2, average: 0.2, peak: 0.2, measuredAtMs: 0 } },
  });

  test('raise a container’s limit so far that what is used is at its threshold', () => {
    const drafts = draftsFor(
      facts({
        profile: throttled,
        bottlenecks: [
          bottleneck({ kind: 'utilization', resource: 'cpu' }),
          bottleneck({ kind: 'throttling', resource: 'cpu', reason: 'chat is throttled' }),
        ],
      }),
      THRESHOLDS,
    );
    // 2 cores at the peak, kept waiting a fifth of the time, and 80 % of what there is: 2 / 0.8 / 0.8. Said once.
    expect(drafts).toHaveLength(1);
    expect(drafts[0]).toMatchObject({
      ...{ component: 'chat', source: 'bottleneck', optimization: 'Raise the CPU limit' },
      reason: 'chat is short; its limit is 2 cores, and 3.13 would bring it to its threshold',
    });
    expect(drafts[0]?.steps[0]?.text).toBe('resources:\n  limits:\n    cpu: "3.2"');
  });

  test('raise no further than the machine goes', () => {
    const bottlenecks = [bottleneck({ resource: 'cpu' })];
    const [draft] = draftsFor(facts({ profile: throttled, bottlenecks, machine: { cpu: 3 } }), THRESHOLDS);
    expect(draft?.reason).toBe('chat is short; its limit is 2 cores, and 3 is as far as it should go at once');
  });

  test('raise nothing where it is the machine that ends, or nobody knows what there is', () => {
    const short = [bottleneck({ resource: 'cpu' })];
    expect(draftsFor(facts({ profile: throttled, bottlenecks: short, machine: { cpu: 2 } }), THRESHOLDS)).toEqual([]);
    expect(draftsFor(facts({ profile: profile(), bottlenecks: short }), THRESHOLDS)).toEqual([]);
  });

  test('say what a forecast will need, and how many instances', () => {
    const capacity: CapacityReport = {
      ...{ component: 'chat', atMs: 0, horizonMs: 86_400_000 },
      metrics: [
        {
          ...{ metric: 'memoryMiB', unit: 'MiBy', now: 700, limit: { value: 1_000, side: 'above' } },
          worst: { median: 1_200, low: 1_050, high: 1_400 },
          breach: { soonestMs: 3_600_000, expectedMs: 7_200_000, latestMs: 18_000_000 },
        },
      ],
      load: {
        law: { ratePerSecond: 50, contention: 0, coherence: 0 },
        ...{ throughputPerSecond: 100, low: 90, high: 110, concurrency: 10, observedConcurrency: 8 },
        ...{ extrapolated: false, samples: 40, expectedPeakPerSecond: 250, headRoomRatio: -1.5 },
      },
    };
    const memory = usage({ usage: 700, peak: 700, capacity: 1_000 });
    const drafts = draftsFor(facts({ profile: profile({ resources: { memory } }), capacity }), THRESHOLDS);
    expect(drafts.map(({ optimization, steps }) => [optimization, steps[0]?.text])).toEqual([
      ['Raise the memory limit', 'resources:\n  limits:\n    memory: "1424Mi"'],
      ['More instances', 'spec:\n  replicas: 3'],
    ]);
    const { breach: _, ...unsure } = capacity.metrics[0]!;
    const vague = { ...capacity, metrics: [unsure], load: { ...capacity.load!, headRoomRatio: 0.1 } };
    expect(draftsFor(facts({ profile: profile({ resources: { memory } }), capacity: vague }), THRESHOLDS)).toEqual([]);
  });

  test('ask for the tuner where it may only observe', () => {
    const unwell = { status: 'unhealthy', score: 0.4, worst: 'responseTime', parts: { responseTime: 0.4 } } as const;
    const [draft] = draftsFor(facts({ health: unwell, tuning: tuning({}, 'observe') }), THRESHOLDS);
    expect(draft).toMatchObject({ source: 'health', optimization: 'Let the tuner look', key: 'chat queue' });
    expect(draft?.steps).toEqual([{ kind: 'command', text: 'perfopt mode chat approve' }]);
    expect(draftsFor(facts({ health: unwell, tuning: tuning({}, 'auto') }), THRESHOLDS)).toEqual([]);
    expect(draftsFor(facts({ health: unwell }), THRESHOLDS)).toEqual([]);
  });
});

describe('the adviser', () => {
  const short = bottleneck({ resource: 'cpu' });
  const busy: View = {
    ...{ component: 'chat', atMs: 0 },
    profile: profile({ resources: { cpu: usage({ usage: 95, peak: 95, capacity: 2 }) } }),
  };

  test('knows nothing at first', () => {
    const adviser = new FakeAgent().adviser();
    expect(adviser.look(0)).toEqual([]);
    expect(adviser.list()).toEqual([]);
  });

  test('keeps what a strategy recommends, with what comparable trials gained', () => {
    const agent = new FakeAgent();
    const effect = { estimate: -0.2, low: -0.3, high: -0.1, confidence: 0.9, blocks: 6 };
    agent.results = [1, 2, 3].map((n) => ({
      ...{ component: 'chat', strategy: 'Batch Optimization', trialId: `t${n}`, atMs: n, kept: n > 1 },
      ...{ knobs: ['batch_size'], effect: { ...effect, estimate: -0.1 * n } },
    }));
    const adviser = agent.adviser();
    adviser.decided(decision());
    adviser.decided(decision({ id: 'd2', atMs: 2_000 }));
    expect(adviser.list()).toMatchObject([
      {
        ...{ id: 'r7-1', component: 'chat', source: 'strategy', optimization: 'Batch Optimization' },
        ...{ sinceMs: 1_000, seenMs: 2_000, confidence: 3 / 5 },
        steps: [{ kind: 'knob', text: 'batch_size: 1 → 16' }, { kind: 'command' }],
        expected: { samples: 3, kept: 2, basis: 'knobs' },
      },
    ]);
    agent.results = [];
    expect(adviser.list()[0]).not.toHaveProperty('expected');
    expect(adviser.list()[0]).not.toHaveProperty('confidence');
    expect(adviser.list('nobody')).toEqual([]);
  });

  test('drops a recommendation when it is done, and one that is no longer repeated', () => {
    const agent = new FakeAgent();
    const adviser = agent.adviser();
    adviser.decided(decision());
    adviser.look(MINUTE);
    expect(adviser.list()).toHaveLength(1);
    agent.views = [{ component: 'chat', atMs: 0, tuning: tuning({}, 'recommend', 16) }];
    adviser.look(2 * MINUTE);
    expect(adviser.list()).toEqual([]);

    adviser.decided(decision({ changes: [{ knob: 'batch_size', from: 16, to: 32 }] }));
    adviser.look(3 * 86_400_000);
    expect(adviser.list()).toEqual([]);
  });

  test('keeps a proposal while it waits, with the command that approves it', () => {
    const agent = new FakeAgent();
    const waiting = { id: 'p1', strategy: 's', atMs: 0, expiresMs: 1e12, knobs: ['batch_size'], reason: '' };
    agent.views = [{ component: 'chat', atMs: 0, tuning: { ...tuning(), proposals: [waiting] } }];
    const adviser = agent.adviser();
    adviser.decided(decision({ kind: 'proposed', proposalId: 'p1' }));
    adviser.look(MINUTE);
    expect(adviser.list()).toMatchObject([
      {
        proposalId: 'p1',
        steps: [{ kind: 'command', text: 'perfopt approve p1' }, { kind: 'knob' }, { kind: 'command' }],
      },
    ]);
    adviser.decided(decision({ kind: 'declined', proposalId: 'p1', changes: [] }));
    expect(adviser.list()).toEqual([]);

    adviser.decided(decision({ kind: 'proposed', proposalId: 'p2' }));
    adviser.look(2 * MINUTE);
    expect(adviser.list()).toEqual([]);
  });

  test('says what is short once it has been for a minute, once, and forgets it when it is over', () => {
    const agent = new FakeAgent();
    agent.views = [busy];
    agent.bottlenecks = [short];
    const adviser = agent.adviser();
    expect(adviser.look(0)).toEqual([]);
    expect(adviser.list()).toEqual([]);
    const events = adviser.look(MINUTE);
    expect(events).toMatchObject([
      { type: 'recommendation', component: 'chat', atMs: MINUTE, data: { strategy: 'Raise the CPU limit' } },
    ]);
    expect(adviser.look(2 * MINUTE)).toEqual([]);
    expect(adviser.list()).toMatchObject([{ id: 'r7-1', sinceMs: 0, seenMs: 2 * MINUTE }]);
    agent.bottlenecks = [];
    adviser.look(4 * MINUTE);
    expect(adviser.list()).toHaveLength(1);
    adviser.look(8 * MINUTE);
    expect(adviser.list()).toEqual([]);
  });

  test('is silent about what comes and goes', () => {
    const agent = new FakeAgent();
    agent.views = [busy];
    const adviser = agent.adviser();
    for (let minute = 0; minute < 60; minute += 3) {
      agent.bottlenecks = [short];
      expect(adviser.look(minute * MINUTE)).toEqual([]);
      agent.bottlenecks = [];
      expect(adviser.look((minute + 2) * MINUTE)).toEqual([]);
    }
    expect(adviser.list()).toEqual([]);
  });

  test('goes on after a restart with what it had, under the same ids', () => {
    const agent = new FakeAgent();
    const adviser = agent.adviser();
    adviser.decided(decision());
    const saved: AdviserState = JSON.parse(JSON.stringify(adviser.save()));
    const next = agent.adviser(saved);
    expect(next.list()).toEqual(adviser.list());
    next.decided(decision({ atMs: 9_000 }));
    expect(next.list()).toMatchObject([{ id: 'r7-1', sinceMs: 1_000, seenMs: 9_000 }]);
  });

  it('never holds more than it has room for, and counts what had to go', () => {
    const adviser = new FakeAgent().adviser();
    for (let n = 0; n < 250; n++) adviser.decided(decision({ strategy: `s${n}`, atMs: n }));
    expect(adviser.list()).toHaveLength(200);
    expect(adviser.dropped).toBe(50);
    expect(adviser.list()[0]?.optimization).toBe('s249');
  });
});
