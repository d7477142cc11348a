import { describe, expect, test } from 'vitest';
import type { Anomaly } from '../../agent/core/detect/anomaly.ts';
import { IncidentGrouper, JOIN_MS, MOST_ANOMALIES } from '../../agent/core/detect/incident.ts';

function anomaly(metric: string, sinceMs: number, atMs: number, over: Partial<Anomaly> = {}): Anomaly {
  return {
    metric,
    kind: 'value',
    value: 1,
    expectedRange: { low: 0, high: 0.5 },
    severity: 'medium',
    sinceMs,
    atMs,
    surprise: 5,
    bar: 4,
    channel: 'level',
    explanation: `${metric} is 1`,
    ...over,
  };
}

describe('incidents', () => {
  test('the first mover is the earliest onset, not the earliest alert', () => {
    const grouper = new IncidentGrouper(4);
    expect(grouper.add('llm', anomaly('responseTime', 50_000, 60_000)).kind).toBe('opened');
    const { kind, incident } = grouper.add('llm', anomaly('queue', 20_000, 90_000, { severity: 'critical' }));
    expect(kind).toBe('joined');
    expect(incident).toMatchObject({ firstMover: 'queue', leadMs: 30_000, startedMs: 20_000, severity: 'critical' });
    expect(incident.anomalies.map(({ metric }) => metric)).toEqual(['queue', 'responseTime']);
  });

  test('components have incidents of their own, and a long silence begins a new one', () => {
    const grouper = new IncidentGrouper(4);
    grouper.add('a', anomaly('cpu', 0, 1000));
    expect(grouper.add('b', anomaly('cpu', 0, 1000)).kind).toBe('opened');
    expect(grouper.add('a', anomaly('cpu', 0, 1000 + JOIN_MS)).kind).toBe('joined');
    expect(grouper.add('a', anomaly('cpu', 0, 1001 + 2 * JOIN_MS)).kind).toBe('opened');
    expect(grouper.current('b', 2000 + JOIN_MS)).toBeUndefined();
  });

  test('an incident is bounded, and says what it dropped', () => {
    const grouper = new IncidentGrouper(4);
    let last = grouper.add('a', anomaly('m', 0, 0)).incident;
    for (let i = 1; i < MOST_ANOMALIES + 5; i++) last = grouper.add('a', anomaly(`m${i}`, i, i)).incident;
    expect(last.anomalies.length).toBe(MOST_ANOMALIES);
    expect(last.dropped).toBe(5);
  });

  test('so is the number of components: the one that moved longest ago is let go', () => {
    const grouper = new IncidentGrouper(2);
    grouper.add('a', anomaly('m', 0, 0));
    grouper.add('b', anomaly('m', 0, 10));
    grouper.add('a', anomaly('m', 0, 20));
    grouper.add('c', anomaly('m', 0, 30));
    expect(grouper.current('b', 40)).toBeUndefined();
    expect(grouper.current('a', 40)).toBeDefined();
  });
});
