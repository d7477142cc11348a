import type { Setting } from '../model.ts';
import type { EngineSettings } from '../settings.ts';
import type { Purpose } from './purpose.ts';
import { type Standing, withProven } from './standing.ts';
import type { StrategyContext } from './strategy.ts';

/**
 * Checkpoints: what was kept is held against the default again, so that a change that has become harmful is found and undone.
 *
 * Intuition. A proof says what helped while it lasted. Software, data and load drift; a change that was right in May may be wrong in
 * June, and a search that only ever looks near the incumbent need not notice: both ways from a bad place may be uphill. So from time
 * to time the values held go up against the baselines, in the same randomised blocks as any candidate. Where the baselines are proven
 * better, they are in force again; otherwise the check has passed, and the next one is twice as far away.
 *
 *   due at  max(last kept, last checkpoint) + 200 windows · 2^(checks passed in a row), at most 3,200 windows
 *           and as soon as what is held has crossed a limit, though not within 20 windows · 2^passed of those,
 *           or has risen all at once (`level.ts`), or is under a strange load, that though not within 20 windows of a check passed
 *
 * It costs little where all is well: two windows far worse in a row, or a bet lost, end it. Its proof counts among all others: at most
 * the promised share of what it gives back is given back for nothing. The other way round two windows at the baselines far *better* than
 * what is held, in random order with windows of that, need no proof: the baselines are what the process does without a tuner, and
 * who goes back to them for nothing has lost a gain, while who stays for the proof is far worse than the default all the while.
 * For the same reason the baselines are not walked to, and the harm wallet is not asked: every lease that runs out goes there at once.
 *
 * Units: windows of `window.minMs`. Fails to see what only one of several held knobs has made harmful, as long as all together help: that
 * is for the search. Source: the checkpoints of TUNING.md; re-validation of winners by holdback groups (Kohavi, Tang and Xu,
 * "Trustworthy online controlled experiments", 2020).
 *
 * Example: batch 1 → 20 kept at noon: checked half an hour later, an hour after that, and then after two, four and nine hours.
 */
/** Whose idea a check is, for those who read the journal. */
export const CHECKPOINT = 'Checkpoint';

const EVERY_WINDOWS = 200;
const AFTER_ALARM_WINDOWS = 20;
const MAX_DOUBLINGS = 4;

export interface Check {
  /** The baselines of what is held. */
  readonly setting: Setting;
  readonly reason: string;
  readonly passed: number;
}

/** Why what is held should be looked into before its time. */
export interface Suspicion {
  readonly why: string;
  /** It has come up since the last check: that it was passed says nothing. */
  readonly isNew: boolean;
  /** What is under way is broken off for it. */
  readonly isUrgent: boolean;
}

/** What is to be checked now; undefined: nothing is held, or it was proven or checked not long ago. */
export function checkDue(
  { knobs, incumbent, nowMs }: Pick<StrategyContext, 'knobs' | 'incumbent' | 'nowMs'>,
  { held, lastKept, checkpoint }: Standing,
  { minMs }: EngineSettings['window'],
  suspicion: Suspicion | undefined,
): Check | undefined {
  const keptMs = lastKept?.atMs ?? Number.NEGATIVE_INFINITY;
  const isFirst = checkpoint === undefined || checkpoint.atMs < keptMs;
  const passed = isFirst ? 0 : checkpoint.passed;
  const windows = pauseAfter(passed, suspicion);
  const sinceMs = isFirst ? keptMs : checkpoint.atMs;
  if (!Number.isFinite(sinceMs) || nowMs - sinceMs < windows * minMs) return undefined;
  // What a human holds is not ours to question.
  const ours = knobs.filter(
    ({ spec, mode }) => mode === 'auto' && held[spec.id] !== undefined && held[spec.id].by !== 'human',
  );
  const away = ours.filter(({ spec }) => incumbent[spec.id] !== spec.baseline);
  if (away.length === 0) return undefined;
  const why = suspicion?.why ?? `proven or checked last ${Math.round((nowMs - sinceMs) / minMs)} windows ago`;
  return {
    setting: Object.fromEntries(away.map(({ spec }) => [spec.id, spec.baseline])),
    reason: `what is held against the baselines: ${why}`,
    passed,
  };
}

function pauseAfter(passed: number, suspicion: Suspicion | undefined): number {
  // What has risen since the last check is news: it has become the level again meanwhile.
  if (suspicion?.isUrgent === true) return 0;
  if (suspicion?.isNew === true) return passed === 0 ? 0 : AFTER_ALARM_WINDOWS;
  return (suspicion === undefined ? EVERY_WINDOWS : AFTER_ALARM_WINDOWS) * 2 ** Math.min(passed, MAX_DOUBLINGS);
}

/** No idea of a strategy's: where it is kept, what was held is held no longer; where it fails, what is held has stood the comparison. */
export const CHECK: Purpose = {
  isReturn: true,

  begun: withCheck,

  kept(standing, { trial, nowMs }) {
    return withGivenBack(withProven(standing, trial, trial.proposed, nowMs), trial.proposed);
  },

  failed(standing, { trial, nowMs }, { why, isVerdict }) {
    // Cut short before anything was seen of the baselines, it says nothing.
    const hasPassed = isVerdict && (trial.blocks > 0 || trial.harmSpent > 0);
    const result = hasPassed ? 'checked, and what is held stays' : 'the check was cut short';
    return {
      standing: hasPassed ? withPassed(standing, nowMs) : standing,
      told: { as: 'futile', why: `${result}: ${why}` },
    };
  },
};

/** A check begins; when it is cut short from outside, it counts as neither passed nor failed. */
function withCheck(standing: Standing, nowMs: number): Standing {
  const { checkpoint, lastKept } = standing;
  const isFirst = checkpoint === undefined || checkpoint.atMs < (lastKept?.atMs ?? Number.NEGATIVE_INFINITY);
  return { ...standing, checkpoint: { atMs: nowMs, passed: isFirst ? 0 : checkpoint.passed } };
}

function withPassed(standing: Standing, nowMs: number): Standing {
  return { ...standing, checkpoint: { atMs: nowMs, passed: (standing.checkpoint?.passed ?? 0) + 1 } };
}

/** The baselines were better: these knobs are held no longer. */
export function withGivenBack(standing: Standing, baselines: Setting): Standing {
  const { lastKept: _, ...rest } = standing;
  const held = Object.entries(standing.held).filter(([knob]) => baselines[knob] === undefined);
  return { ...rest, held: Object.fromEntries(held) };
}
