import { describe, expect, test } from 'vitest';
import type { Insight } from '../../agent/core/insight/finding.ts';
import { InsightPlant, type Load } from './insight_plant.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function steady(plant: InsightPlant, latencyMs = 50): Load {
  return { latencyMs: latencyMs * plant.noise(), perSecond: 100 * plant.noise(), memoryMiB: 1_000 * plant.noise() };
}

function kinds(insights: readonly Insight[]): readonly string[] {
  return insights.map(({ kind }) => kind);
}

describe('anomalies', () => {
  test('an outage is told once, with what was expected, and is over when it is over', () => {
    const plant = new InsightPlant();
    expect(kinds(plant.run(12 * HOUR_MS, () => steady(plant)))).toEqual([]);
    const found = plant.run(5 * MINUTE_MS, () => steady(plant, 4_000));
    const first = found.find(
      (insight) => insight.kind === 'anomaly_detected' && insight.anomaly.metric === 'responseTimeMs',
    );
    if (first?.kind !== 'anomaly_detected') throw new Error('the outage was not seen');
    const { anomaly } = first;
    expect(anomaly).toMatchObject({ component: 'c', state: 'open', kind: 'value' });
    expect(anomaly.value).toBeGreaterThan(1_000);
    expect(anomaly.expectedRange.high).toBeLessThan(500);
    expect(anomaly.incident?.anomalies).toBeGreaterThan(0);
    expect(plant.store.disturbance('c')).toBeDefined();
    const after = plant.run(HOUR_MS, () => steady(plant));
    expect(kinds(after)).toContain('anomaly_resolved');
    expect(plant.store.disturbance('c')).toBeUndefined();
    expect(plant.store.anomalies('c').find(({ id }) => id === anomaly.id)).toMatchObject({ state: 'resolved' });
  });
});
