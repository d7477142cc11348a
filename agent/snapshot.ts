import type { ComponentSnapshot, Snapshot } from './adapters/control/ports.ts';
import type { View } from './core/engine.ts';
import { changesBetween } from './core/tune/trial.ts';

/** The engine's views as the control channel shows them. Components without a session that ever opened are left out. */
export function snapshotOf(views: readonly View[], frozen: boolean, atMs: number): Snapshot {
  return { atMs, frozen, components: views.flatMap((view) => componentOf(view) ?? []) };
}

function componentOf({ component, tuning }: View): ComponentSnapshot | undefined {
  if (tuning === undefined) return undefined;
  const { tier, connected, frozen, knobs, openTrial } = tuning;
  return {
    component,
    tier,
    connected,
    frozen: frozen !== undefined,
    knobs,
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
