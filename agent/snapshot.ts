import type { ComponentSnapshot, Snapshot } from './adapters/control/ports.ts';
import type { View } from './core/engine.ts';
import { changesBetween } from './core/tune/changes.ts';
import type { TunerView } from './core/tune/view.ts';

/** The engine's views as the control channel shows them. Components without a session that ever opened are left out. */
export function snapshotOf(views: readonly View[], frozen: boolean, atMs: number): Snapshot {
  return {
    atMs,
    frozen,
    components: views.flatMap(({ component, tuning }) => componentSnapshotOf(component, tuning) ?? []),
  };
}

export function componentSnapshotOf(component: string, tuning: TunerView | undefined): ComponentSnapshot | undefined {
  if (tuning === undefined) return undefined;
  const { tier, connected, frozen, knobs, openTrial, revisions, proposals, pareto } = tuning;
  return {
    component,
    tier,
    connected,
    frozen: frozen !== undefined,
    knobs,
    revisions,
    proposals: proposals.map(({ setting = {}, ...proposal }) => ({ ...proposal, setting })),
    proven: pareto.map(({ objectives, ...point }) => ({
      ...point,
      objectives: Object.fromEntries(
        Object.entries(objectives).map(([name, { estimate, low, high }]) => [
          name,
          { estimate: Math.expm1(estimate), low: Math.expm1(low), high: Math.expm1(high) },
        ]),
      ),
    })),
    ...(openTrial !== undefined && {
      openTrial: {
        trialId: openTrial.id,
        strategy: openTrial.strategy,
        startMs: openTrial.startedMs,
        changes: changesBetween(openTrial.recorded, openTrial.candidate ?? openTrial.trying),
        blocks: openTrial.blocks,
      },
    }),
  };
}
