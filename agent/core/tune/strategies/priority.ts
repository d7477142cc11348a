import { performanceScore } from '../../analytics/performance.ts';
import type { Strategy } from '../strategy.ts';
import { nearest } from './value.ts';

/**
 * The design document's Priority Optimization: who is reliable and does well may have more of what is contended.
 *
 *   priority ← min(priority + 10 · score, 100)       where the latest interval's reliability is above 0.9
 *
 * `score` is the performance score (`analytics/performance.ts`), in [0, 1]. Priority rises with urgency and has no unit; a knob whose
 * unit says otherwise (`{nice}`) is left alone, because there less is more. Where the knob ends below 100, its end is the cap.
 * Fails where nothing is contended (the trial then shows no gain, and nothing is kept) and where everybody raises it.
 * Source: the design document. Example: priority 50, score 0.9 → 59.
 */
const PRIORITY_CAP = 100;
const PRIORITY_PER_SCORE = 10;
const RELIABLE_ABOVE = 0.9;

export const priorityStrategy: Strategy = {
  name: 'Priority Optimization',
  description: 'Adjusts component priority based on performance metrics',
  applicableTiers: ['critical', 'stable', 'advanced'],
  roles: ['priority'],
  priority: 3,
  canApply({ profile }) {
    const reliability = profile?.metrics.reliability?.current ?? 0;
    return reliability > RELIABLE_ABOVE && reliability <= 1;
  },
  plan(context, modes) {
    const { profile, incumbent } = context;
    const reliability = profile?.metrics.reliability?.current;
    if (profile === undefined || reliability === undefined || !this.canApply(context)) return undefined;
    const score = performanceScore(profile, context.thresholds);
    if (score === undefined) return undefined;
    for (const knob of context.knobs) {
      const { spec, axis } = knob;
      const now = incumbent[spec.id];
      const isPriority = spec.role === 'priority' && (spec.unit === '' || spec.unit === '1');
      if (!isPriority || axis === undefined || typeof now !== 'number' || !modes.includes(knob.mode)) continue;
      const value = nearest(knob, Math.min(now + score * PRIORITY_PER_SCORE, PRIORITY_CAP));
      if (value <= now || value > PRIORITY_CAP || context.rejection(spec.id, value) !== undefined) continue;
      return {
        kind: 'candidate',
        setting: { [spec.id]: value },
        reason: `reliability ${(reliability * 100).toFixed(1)} % and a performance score of ${score.toFixed(2)} speak for ${spec.id} ${now} → ${value}`,
        signals: { reliability, performanceScore: score, priority: now },
      };
    }
    return undefined;
  },
};
