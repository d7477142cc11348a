import { createEngine, type SavedState } from '../../agent/core/engine.ts';
import type { TunerView } from '../../agent/core/tune/view.ts';
import type { EngineFactory } from './seam.ts';

/** The engine that ships, as the simulation sees it. */
export const realEngine: EngineFactory = ({ settings, seed, epoch, saved }) => {
  const base = { settings, seed, epoch };
  // What comes from the simulated disk is what this engine wrote there.
  const engine = createEngine(saved === undefined ? base : { ...base, saved: saved as SavedState });
  return {
    step: (nowMs, input) => engine.step(nowMs, input),
    save: () => engine.save(),
    belief: (component) => {
      const tuning = engine.tuning(component);
      if (tuning === undefined) return undefined;
      return {
        isSettled: tuning.settled,
        setting: tuning.effective,
        incumbent: tuning.incumbent,
        activity: activityOf(tuning),
        proposals: tuning.proposals.map(({ id }) => id),
        revisions: tuning.revisions,
        points: tuning.pareto.map(({ id }) => id),
        pinned: tuning.knobs.filter(({ pinned }) => pinned).map(({ spec }) => spec.id),
      };
    },
  };
};

function activityOf({ phase, openTrial }: TunerView): string {
  if (phase !== 'trying') return phase;
  return openTrial?.candidate === undefined ? 'probing' : 'proving';
}
