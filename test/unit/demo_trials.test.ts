import { describe, expect, it } from 'vitest';
import type { Decision } from '../../agent/core/model.ts';
import { trialsOf, unprovenKnobs } from '../../deploy/demo/trials.ts';

let atMs = 0;
function decision(kind: Decision['kind'], trialId?: string, changes: Decision['changes'] = []): Decision {
  atMs += 1_000;
  return {
    id: `d${atMs}`,
    atMs,
    component: 'c',
    kind,
    changes,
    reason: kind,
    ...(trialId !== undefined && { trialId }),
  };
}
const batch = (from: number, to: number) => [{ knob: 'batch', from, to }];

describe('the table of trials', () => {
  it('has a row for each trial, with what ended it', () => {
    const trials = trialsOf([
      decision('frozen'),
      decision('trial_started', 't1'),
      decision('promoted', 't1', batch(1, 4)),
      decision('trial_started', 't2'),
      decision('futile', 't2', batch(6, 4)),
      decision('trial_started', 't3'),
      decision('pinned'),
    ]);
    expect(trials.map(({ id, outcome, ending, changes }) => ({ id, outcome, ending, changes }))).toEqual([
      { id: 't1', outcome: 'kept', ending: 'promoted', changes: batch(1, 4) },
      { id: 't2', outcome: 'restored', ending: 'futile', changes: batch(4, 6) },
      { id: 't3', outcome: 'unfinished', ending: undefined, changes: [] },
    ]);
  });
});

describe('values that no proof stands behind', () => {
  const baseline = { batch: 1, wait: 0 };
  const promoted = [decision('promoted', 't1', batch(1, 4)), decision('promoted', 't2', batch(4, 8))];

  it('are none at the baseline, and none at what was promoted last', () => {
    expect(unprovenKnobs(baseline, baseline, [])).toEqual([]);
    expect(unprovenKnobs({ batch: 8, wait: 0 }, baseline, promoted)).toEqual([]);
    expect(unprovenKnobs(baseline, baseline, promoted)).toEqual([]);
  });

  it('are found where a candidate or an older value stayed', () => {
    expect(unprovenKnobs({ batch: 4, wait: 0 }, baseline, promoted)).toEqual(['batch']);
    expect(unprovenKnobs({ batch: 8, wait: 3 }, baseline, promoted)).toEqual(['wait']);
    const restored = [decision('trial_started', 't1'), decision('rolled_back', 't1', batch(16, 1))];
    expect(unprovenKnobs({ batch: 16, wait: 0 }, baseline, restored)).toEqual(['batch']);
  });
});
