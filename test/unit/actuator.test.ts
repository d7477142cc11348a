import { describe, expect, test } from 'vitest';
import { Actuator } from '../../agent/core/actuator.ts';
import type { Command, Effect, HeldKnob, KnobResult, Manifest } from '../../agent/core/model.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { intKnob } from './engine_loop.ts';

const RATIONALE = { strategy: 'test', reason: 'test' };

const KNOB = intKnob('k', { role: 'other', settleMs: 0, baseline: 2 });

/** An actuator whose process holds its baselines: `k` is 2; or what is said here. */
function opened(nowMs: number, validates: boolean, held: readonly HeldKnob[] = []): Actuator {
  const actuator = new Actuator('embedder', 1, DEFAULT_ENGINE_SETTINGS.lease);
  actuator.open(
    {
      ...{ component: 'embedder', tier: 'experimental', instanceUid: 'a', incarnation: 1, resource: {}, held },
      validates,
      knobs: [KNOB],
    },
    nowMs,
  );
  return actuator;
}

/** An actuator whose process has acknowledged `k` = 8 at `nowMs`. */
function holding(nowMs: number): Actuator {
  const actuator = opened(nowMs, false);
  for (const effect of actuator.apply({ k: 8 }, RATIONALE, nowMs)) {
    if (effect.kind !== 'command') continue;
    const { commandId, revision } = effect.command;
    const applied = { knob: 'k', state: 'applied', effectiveValue: 8 } as const;
    actuator.onResult(commandId, [{ ...applied, attemptedRevision: revision, effectiveRevision: revision }], nowMs);
  }
  return actuator;
}

test('leases go on being renewed after the clock was set back', () => {
  const start = 1_000_000;
  const actuator = holding(start);
  const { ttlMs } = DEFAULT_ENGINE_SETTINGS.lease;
  expect(actuator.tick(start + ttlMs).map(({ kind }) => kind)).toEqual(['renewal']);
  expect(actuator.tick(start - 600_000).map(({ kind }) => kind)).toEqual(['renewal']);
  expect(actuator.tick(start - 600_000 + ttlMs / 6)).toEqual([]);
  expect(actuator.tick(start - 600_000 + ttlMs / 2).map(({ kind }) => kind)).toEqual(['renewal']);
});

test('what a process holds when it comes back is renewed at once: nobody knows how long its lease still lasts', () => {
  const held = { knob: 'k', value: 8, epoch: 1, revision: 3, manual: false };
  expect(
    opened(0, false, [held])
      .tick(1_000)
      .map(({ kind }) => kind),
  ).toEqual(['renewal']);
  expect(opened(0, false).tick(1_000)).toEqual([]);
});

describe('what the process says it holds', () => {
  const { ttlMs } = DEFAULT_ENGINE_SETTINGS.lease;
  const said = (value: number, revision: number, more: Partial<HeldKnob> = {}): HeldKnob[] => [
    { knob: 'k', value, epoch: 1, revision, manual: false, ...more },
  ];

  test('is what was believed', () => {
    const actuator = holding(0);
    expect(actuator.holding(said(8, 1), 5_000)).toBeUndefined();
    expect(actuator.state).toEqual({ state: 'settled', sinceMs: 0 });
    expect(opened(0, false).holding([], 5_000)).toBeUndefined();
  });

  test('is something else: it is believed, and must be commanded anew', () => {
    const actuator = holding(0);
    expect(actuator.holding([], 5_000)).toContain('k is 2, not 8');
    expect(actuator.effective).toEqual({ k: 2 });
    expect(actuator.state).toEqual({ state: 'settled', sinceMs: 5_000 });
    expect(actuator.difference({ k: 8 })).toEqual([{ knob: 'k', value: 8, expectedCurrent: 2 }]);
    // Nothing is held any more that a renewal could keep alive.
    expect(actuator.tick(5_000 + ttlMs)).toEqual([]);
  });

  test('is the same value under no lease of ours: it must be commanded anew', () => {
    const actuator = holding(0);
    expect(actuator.holding(said(8, 1, { epoch: 7 }), 5_000)).toContain('another word than ours');
    expect(actuator.difference({ k: 8 })).toHaveLength(1);
  });

  test('a baseline that was commanded and whose lease has run out is the baseline all the same', () => {
    const actuator = holding(0);
    answer(actuator, onlyCommand(actuator.apply({ k: 2 }, RATIONALE, 1)), { state: 'applied', effectiveValue: 2 });
    expect(actuator.holding([], 5_000)).toBeUndefined();
    expect(actuator.difference({ k: 2 })).toEqual([]);
  });

  test('counts neither while a command is under way nor while belief is uncertain', () => {
    const actuator = holding(0);
    const command = onlyCommand(actuator.apply({ k: 16 }, RATIONALE, 1_000));
    expect(actuator.holding(said(8, 1), 1_001)).toBeUndefined();
    answer(actuator, command, { state: 'applied', effectiveValue: 16 });
    expect(actuator.effective).toEqual({ k: 16 });
    actuator.doubt(2_000, 'a test');
    expect(actuator.holding(said(16, 2), 2_001)).toBeUndefined();
    expect(actuator.state.state).toBe('uncertain');
  });
});

const TRIAL = { ...RATIONALE, trialId: 't1' };

function onlyCommand(effects: readonly Effect[]): Command {
  const [effect, ...others] = effects;
  if (effect?.kind !== 'command' || others.length > 0) throw new Error(`not one command: ${JSON.stringify(effects)}`);
  return effect.command;
}

function answer(
  actuator: Actuator,
  { commandId, revision }: Command,
  result: Pick<KnobResult, 'state' | 'effectiveValue' | 'error'>,
) {
  const effectiveRevision = result.effectiveValue === 2 ? 0 : revision;
  return actuator.onResult(commandId, [{ knob: 'k', attemptedRevision: revision, effectiveRevision, ...result }], 1);
}

test('a process that can check is asked about a value before a trial sets it, once', () => {
  const actuator = opened(0, true);
  const check = onlyCommand(actuator.apply({ k: 8 }, TRIAL, 0));
  expect(check).toMatchObject({ validateOnly: true, changes: [{ knob: 'k', value: 8 }] });
  expect(actuator.effective).toEqual({ k: 2 });
  const command = onlyCommand(answer(actuator, check, { state: 'applied', effectiveValue: 2 }));
  expect(command).toMatchObject({ validateOnly: false, changes: check.changes, revision: check.revision });
  expect(command.commandId).not.toBe(check.commandId);
  expect(actuator.effective).toEqual({ k: 2 });
  expect(answer(actuator, command, { state: 'applied', effectiveValue: 8 })).toEqual([]);
  expect(actuator.effective).toEqual({ k: 8 });
  answer(actuator, onlyCommand(actuator.apply({ k: 2 }, TRIAL, 2, true)), { state: 'applied', effectiveValue: 2 });
  expect(onlyCommand(actuator.apply({ k: 8 }, TRIAL, 3)).validateOnly).toBe(false);
});

test('what a check refuses for good is remembered, and was never set', () => {
  const actuator = opened(0, true);
  const check = onlyCommand(actuator.apply({ k: 8 }, TRIAL, 0));
  expect(answer(actuator, check, { state: 'rejected_permanent', effectiveValue: 2, error: 'odd only' })).toEqual([]);
  expect(actuator.state).toMatchObject({ state: 'failed', failure: { cause: 'rejected' } });
  expect(actuator.rejection('k', 8)).toBe('odd only');
  expect(actuator.effective).toEqual({ k: 2 });
});

test('a check that is not answered is sent again, and an answer to one that was overtaken sends nothing', () => {
  const actuator = opened(0, true);
  const check = onlyCommand(actuator.apply({ k: 8 }, TRIAL, 0));
  const { applyDeadlineMs } = DEFAULT_ENGINE_SETTINGS.lease;
  expect(onlyCommand(actuator.tick(applyDeadlineMs))).toEqual(check);
  const back = onlyCommand(actuator.apply({ k: 2 }, RATIONALE, applyDeadlineMs, true));
  expect(answer(actuator, check, { state: 'applied', effectiveValue: 2 })).toEqual([]);
  expect(answer(actuator, back, { state: 'applied', effectiveValue: 2 })).toEqual([]);
  expect(actuator.state.state).toBe('settled');
});

test.each([
  ['a process that cannot check', false, TRIAL, false],
  ['what belongs to no trial', true, RATIONALE, false],
  ['a restoration', true, TRIAL, true],
])('%s is not asked first', (_what, validates, rationale, force) => {
  expect(onlyCommand(opened(0, validates).apply({ k: 8 }, rationale, 0, force)).validateOnly).toBe(false);
});

describe('what the session before had under way may yet be obeyed, after the process has said what it holds', () => {
  const manifest = (held: readonly HeldKnob[]): Manifest => ({
    ...{ component: 'embedder', tier: 'experimental', instanceUid: 'a', incarnation: 1, resource: {}, held },
    knobs: [KNOB],
  });

  test.each([
    ['broke off', (actuator: Actuator) => actuator.close()],
    ['was declared anew', () => {}],
  ])('in a session that %s: the knob is commanded anew, though it is where it should be', (_how, end) => {
    const actuator = opened(0, false);
    onlyCommand(actuator.apply({ k: 8 }, TRIAL, 0));
    end(actuator);
    actuator.open(manifest([]), 1);
    const back = onlyCommand(actuator.apply({ k: 2 }, RATIONALE, 1, true));
    expect(back).toMatchObject({ revision: 2, changes: [{ knob: 'k', value: 2 }] });
    answer(actuator, back, { state: 'applied', effectiveValue: 2 });
    expect(actuator.apply({ k: 2 }, RATIONALE, 2, true)).toEqual([]);
  });

  test('what a human has set by hand meanwhile is left alone', () => {
    const actuator = opened(0, false);
    actuator.apply({ k: 8 }, TRIAL, 0);
    actuator.open(manifest([{ knob: 'k', value: 4, epoch: 0, revision: 0, manual: true }]), 1);
    expect(actuator.apply({ k: 4 }, RATIONALE, 1, true)).toEqual([]);
  });
});
