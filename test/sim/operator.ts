import { KNOB_MODES, type OperatorRequest } from '../../agent/core/model.ts';
import { valueAt } from './knob_space.ts';
import { COMPONENT } from './process.ts';
import type { Random } from './random.ts';
import { knobSpecs, type Scenario } from './scenario.ts';
import type { Belief } from './seam.ts';

/** Somebody who asks for things at random, sensible or not: proposals, ways back, pins, modes, freezes. */
export class SimOperator {
  readonly #knobs: ReturnType<typeof knobSpecs>;
  readonly #random: Random;
  #asked = 0;

  constructor(scenario: Scenario, random: Random) {
    this.#knobs = knobSpecs(scenario);
    this.#random = random;
  }

  next(belief: Belief | undefined): OperatorRequest {
    const random = this.#random;
    const request = { requestId: `ask-${++this.#asked}`, by: 'operator', component: COMPONENT };
    const spec = this.#knobs[random.below(this.#knobs.length)] ?? this.#knobs[0];
    if (spec === undefined) throw new Error('a scenario without knobs has nothing to ask for');
    const knob = spec.id;
    const value = valueAt(spec, random.uniform());
    const open = belief?.proposals ?? [];
    const proposalId = open[random.below(Math.max(1, open.length))] ?? 'p0-0';
    switch (random.below(11)) {
      case 0:
      case 1:
      case 2: {
        const rule = random.chance(0.3) && { rule: 'at random' };
        return { ...request, action: 'propose', changes: { [knob]: value }, reason: 'to see', ...rule };
      }
      case 3:
        return { ...request, action: 'rollback' };
      case 4: {
        const revisions = belief?.revisions ?? [];
        const toRevision = revisions[random.below(Math.max(1, revisions.length))]?.revision ?? 1;
        return { ...request, action: 'rollback', toRevision };
      }
      case 10: {
        const points = belief?.points ?? [];
        return { ...request, action: 'choose', point: points[random.below(Math.max(1, points.length))] ?? 'o-t0-0' };
      }
      case 5:
        return { ...request, action: 'pin', knob, ...(random.chance(0.5) && { value }) };
      case 6:
        return { ...request, action: 'unpin', knob };
      case 7:
        return { ...request, action: 'set_mode', mode: random.chance(0.7) ? 'auto' : pick(random, KNOB_MODES) };
      case 8:
        return random.chance(0.3)
          ? { ...request, action: 'freeze', reason: 'to see' }
          : { ...request, action: 'unfreeze' };
      default:
        return random.chance(0.7)
          ? { ...request, action: 'approve', proposalId }
          : { ...request, action: 'reject', proposalId, reason: 'no' };
    }
  }
}

function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[random.below(values.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
}
