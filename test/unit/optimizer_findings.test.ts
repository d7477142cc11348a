import { expect, test } from 'vitest';
import type { ObservedAnomaly, ObservedPattern } from '../../agent/core/insight/finding.ts';
import { anomalyOf, patternOf } from '../../agent/optimizer/documents.ts';
import { publicEvent } from '../../agent/optimizer/events.ts';
import { Embedder, embedded, requests } from './optimizer_rig.ts';

const PATTERN: ObservedPattern = {
  ...{ component: 'c', metric: 'throughputPerSecond', type: 'level_shift', confidence: 0.99, samples: 40 },
  ...{ impactLog: Math.log(2), impact: -0.5, sinceMs: 7, evidence: {} },
};
const ANOMALY: ObservedAnomaly = {
  ...{
    id: 'a1',
    component: 'c',
    metric: 'responseTimeMs',
    kind: 'value',
    value: 91.25,
    severity: 'high',
    state: 'open',
  },
  ...{ expectedRange: { low: 12.3456, high: 18 }, sinceMs: 1, atMs: 2, surprise: 5, bar: 3, channel: 'level' },
  explanation: 'responseTime is 91.25',
};

test('what is found reads as the document prints it', () => {
  expect(patternOf(PATTERN)).toEqual({
    ...{ type: 'level_shift', metric: 'throughputPerSecond', confidence: 0.99, impact: -0.5, since: 7, samples: 40 },
  });
  const { impact: _, ...still } = PATTERN;
  expect(patternOf(still).impact).toBe(0);
  const anomaly = anomalyOf(ANOMALY);
  expect(`${anomaly.metric}: ${anomaly.value}, ${anomaly.expectedRange}, ${anomaly.severity}`).toBe(
    'responseTimeMs: 91.25, 12.35 to 18, high',
  );
  expect(anomalyOf({ ...ANOMALY, kind: 'missing', value: Number.NaN })).toMatchObject({ kind: 'missing', value: 0 });
});

test('an event of missing data has no NaN in it; one that cannot be understood says why', () => {
  const data = { ...ANOMALY, kind: 'missing', value: Number.NaN };
  const told = publicEvent({ type: 'anomaly_detected', component: 'c', atMs: 2, data });
  expect(told).toMatchObject({ type: 'anomaly_detected', component: 'c', at: 2, data: { kind: 'missing' } });
  expect(told).not.toHaveProperty('data.value');
  const bad = publicEvent({ type: 'optimization_applied', component: 'c', atMs: 2, data: { strategy: 1 } });
  expect(bad).toMatch(/^optimization_applied: /);
});

test('a component that has just begun shows nothing yet, and one that is not there is refused', async () => {
  const component = new Embedder({ batch: 16 });
  const { optimizer } = await embedded([component]);
  await requests(optimizer, component, 10);
  expect(await optimizer.identifyPatterns('embedder')).toEqual([]);
  expect(await optimizer.detectAnomalies('embedder')).toEqual([]);
  await expect(optimizer.identifyPatterns('nobody')).rejects.toThrow('unknown component "nobody"; known: embedder');
  await expect(optimizer.detectAnomalies('nobody')).rejects.toThrow('unknown component "nobody"; known: embedder');
});
