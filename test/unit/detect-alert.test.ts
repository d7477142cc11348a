import { describe, expect, test } from 'vitest';
import { type AlertPolicy, AlertStage, REFRACTORY_POINTS, WARM_UP_POINTS } from '../../agent/core/detect/alert.ts';

const MINUTE_MS = 60_000;
const DAY_POINTS = 1440;
const BAR: AlertPolicy = { kind: 'bar', decades: 3 };

/** Judges `surprises`, a minute apart from minute `from`; returns the rows that opened an alert. */
function opened(stage: AlertStage, surprises: readonly number[], from = 0): number[] {
  const out: number[] = [];
  surprises.forEach((surprise, i) => {
    if (stage.judge(surprise, (from + i) * MINUTE_MS, true).state === 'opened') out.push(from + i);
  });
  return out;
}

const quiet = (points: number) => Array<number>(points).fill(0);

/** Exponential surprises, as honest ones are: one in ten above 1, one in a hundred above 2. */
function honest(points: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: points }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return -Math.log10((state + 1) / 4_294_967_297);
  });
}

describe('alert stage', () => {
  test('nothing is alerted during the warm-up', () => {
    const stage = new AlertStage(BAR);
    expect(opened(stage, Array<number>(WARM_UP_POINTS).fill(9))).toEqual([]);
    expect(opened(stage, [9], WARM_UP_POINTS)).toEqual([WARM_UP_POINTS]);
  });

  test('an alert goes on while the surprise stays near the bar, and ends after quiet points', () => {
    const stage = new AlertStage(BAR);
    opened(stage, quiet(WARM_UP_POINTS));
    expect(opened(stage, Array<number>(200).fill(4), 100)).toEqual([100]);
    expect(stage.judge(2.5, 300 * MINUTE_MS, true).state).toBe('open');
    const states = quiet(REFRACTORY_POINTS + 1).map(
      (surprise, i) => stage.judge(surprise, (301 + i) * MINUTE_MS, true).state,
    );
    expect(states.slice(0, REFRACTORY_POINTS).every((state) => state === 'open')).toBe(true);
    expect(states.at(-1)).toBe('quiet');
  });

  test('three decades above the peak is another event', () => {
    const stage = new AlertStage(BAR);
    opened(stage, quiet(WARM_UP_POINTS));
    expect(opened(stage, [4, 4, 6.5, 4, 7.5, 4], 100)).toEqual([100, 104]);
  });

  test('each alert raises the bar for the next, and time lowers it again', () => {
    const stage = new AlertStage(BAR);
    opened(stage, quiet(WARM_UP_POINTS));
    opened(stage, [9], 100);
    opened(stage, quiet(40), 101);
    expect(stage.judge(0, 141 * MINUTE_MS, true).bar).toBeGreaterThan(3.3);
    opened(stage, quiet(5000), 142);
    expect(stage.judge(0, 5142 * MINUTE_MS, true).bar).toBeLessThan(3.05);
  });

  test.each([0.2, 1, 3])('honest surprises cost at most the budget of %d a day', (alertsPerDay) => {
    const stage = new AlertStage({ kind: 'budget', alertsPerDay });
    const days = 60;
    const alerts = opened(stage, honest(days * DAY_POINTS, 7));
    expect(alerts.length).toBeLessThanOrEqual(days * alertsPerDay);
  });

  test('a metric whose surprises exaggerate is brought down to its budget', () => {
    const stage = new AlertStage({ kind: 'budget', alertsPerDay: 1 });
    const days = 60;
    const exaggerated = honest(days * DAY_POINTS, 7).map((surprise) => 1.4 * surprise);
    const alerts = opened(stage, exaggerated);
    // Without the trim and the load it would be fourteen a day.
    expect(alerts.length / days).toBeLessThanOrEqual(2);
    expect(alerts.length / days).toBeGreaterThan(0.3);
  });

  test('the first days hear only what lies far beyond', () => {
    const fresh = new AlertStage({ kind: 'budget', alertsPerDay: 0.2 });
    opened(fresh, quiet(200));
    expect(fresh.warmingUp).toBe(true);
    const early = fresh.judge(0, 201 * MINUTE_MS, true).bar;
    opened(fresh, quiet(6 * DAY_POINTS), 202);
    expect(fresh.warmingUp).toBe(false);
    const late = fresh.judge(0, (203 + 6 * DAY_POINTS) * MINUTE_MS, true).bar;
    expect(early - late).toBeGreaterThan(6);
  });

  test('where an alert is out of place, none is opened and none is owed', () => {
    const stage = new AlertStage(BAR);
    opened(stage, quiet(WARM_UP_POINTS));
    expect(stage.judge(9, 100 * MINUTE_MS, false).state).toBe('quiet');
    expect(stage.judge(0, 101 * MINUTE_MS, true)).toEqual({ state: 'quiet', bar: 3 });
  });

  test('saved and restored, it judges the same', () => {
    const original = new AlertStage({ kind: 'budget', alertsPerDay: 1 });
    const surprises = honest(4000, 3).map((surprise) => 1.5 * surprise);
    opened(original, surprises.slice(0, 2000));
    const restored = new AlertStage({ kind: 'budget', alertsPerDay: 1 });
    restored.restore(JSON.parse(JSON.stringify(original.save())));
    expect(opened(restored, surprises.slice(2000), 2000)).toEqual(opened(original, surprises.slice(2000), 2000));
  });

  test('a budget of nothing is refused, and says what is allowed', () => {
    expect(() => new AlertStage({ kind: 'budget', alertsPerDay: 0 })).toThrow(/allowed: any number above 0/);
  });
});
