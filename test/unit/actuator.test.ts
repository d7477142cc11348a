import { expect, test } from 'vitest';
import { Actuator } from '../../agent/core/actuator.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';

const RATIONALE = { strategy: 'test', reason: 'test' };

/** An actuator whose process has acknowledged `k` = 8 at `nowMs`. */
function holding(nowMs: number): Actuator {
  const actuator = new Actuator('embedder', 1, DEFAULT_ENGINE_SETTINGS.lease);
  const base = {
    description: '',
    unit: '1',
    role: 'other',
    applyClass: 'hot',
    settleMs: 0,
    ceilingAtBoot: false,
  } as const;
  actuator.open(
    {
      ...{ component: 'embedder', tier: 'experimental', instanceUid: 'a', incarnation: 1, resource: {}, held: [] },
      knobs: [{ ...base, id: 'k', type: 'int', min: 1, max: 64, scale: 'log', baseline: 2 }],
    },
    nowMs,
  );
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
