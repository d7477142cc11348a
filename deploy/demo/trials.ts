import type { Decision, Effectiveness, KnobValue, Setting } from '../../agent/core/model.ts';

/** One trial as the demo's table shows it, read from the agent's decisions. */
export interface TrialRow {
  readonly id: string;
  readonly strategy: string;
  readonly outcome: 'kept' | 'restored' | 'unfinished';
  /** The decision that ended it, as the agent calls it. */
  readonly ending: Decision['kind'] | undefined;
  /** What was tried against what was in force before; empty where the trial ended before it had a candidate. */
  readonly changes: Decision['changes'];
  /** Absent where the trial ended before there was one. */
  readonly effect: Effectiveness | undefined;
  readonly reason: string;
  readonly startedMs: number;
  readonly endedMs: number | undefined;
}

const ENDINGS: ReadonlySet<Decision['kind']> = new Set([
  'promoted',
  'rolled_back',
  'futile',
  'restored',
  'value_rejected',
]);

/** The trials among these decisions (oldest first), in the order they began. */
export function trialsOf(decisions: readonly Decision[]): readonly TrialRow[] {
  const byTrial = Map.groupBy(
    decisions.filter((decision) => decision.trialId !== undefined),
    (decision) => decision.trialId!,
  );
  return Array.from(byTrial, ([id, all]) => {
    const first = all[0]!;
    // Kept is kept: what a human or a restart did to it later has no trial of its own.
    const ending = all.find(({ kind }) => kind === 'promoted') ?? all.findLast(({ kind }) => ENDINGS.has(kind));
    const told = ending ?? first;
    const isKept = ending?.kind === 'promoted';
    // What a restoring decision changes is the way back.
    const isWayBack = ending !== undefined && !isKept;
    return {
      id,
      strategy: first.strategy ?? '',
      outcome: ending === undefined ? 'unfinished' : isKept ? 'kept' : 'restored',
      ending: ending?.kind,
      changes: isWayBack ? told.changes.map(({ knob, from, to }) => ({ knob, from: to, to: from })) : told.changes,
      effect: told.evidence?.effect,
      reason: told.reason,
      startedMs: first.atMs,
      endedMs: ending?.atMs,
    };
  });
}

/** Knobs whose value in force is neither their baseline nor the one that the last promotion of that knob put there. */
export function unprovenKnobs(inForce: Setting, baseline: Setting, decisions: readonly Decision[]): readonly string[] {
  const proven = new Map<string, KnobValue>();
  for (const { kind, changes } of decisions) {
    if (kind === 'promoted') for (const { knob, to } of changes) proven.set(knob, to);
  }
  return Object.keys(inForce).filter((knob) => inForce[knob] !== baseline[knob] && inForce[knob] !== proven.get(knob));
}
