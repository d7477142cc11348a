import type { EngineSettings } from '../settings.ts';
import { rewardOf, withReward } from './arms.ts';
import { withFailedRule } from './rules.ts';
import { type Standing, withChoices, withFailure, withProven, withTry } from './standing.ts';
import type { Trial } from './trial.ts';

/** Pause of a search after a setback, in windows. */
const SETBACK_WINDOWS = 3;
/** A jump in vain is the dearest of all trials: its pause is so many times that of others. */
const JUMP_PAUSES = 40;

/** How a trial ended without a gain. */
export interface Failure {
  readonly as: 'futile' | 'rolled_back';
  readonly why: string;
  /** It was seen to an end; what is cut short from outside says nothing of the idea. */
  readonly isVerdict: boolean;
}

/** What a trial is for, and so what it may do on the way and what its end means. Pure. */
export interface Purpose {
  /**
   * It leads back to what the process does without a tuner. That needs no harm wallet and no steps, for a lease that runs out goes there
   * at once; it may hurt and leave no scar; and it is what a suspicion of what is held asks for.
   */
  readonly isReturn: boolean;
  /** It begins, or was found at the last moment to be no use. */
  begun(standing: Standing, nowMs: number): Standing;
  /** Its candidate was proven, better by `gain` log units. */
  kept(standing: Standing, ending: Ending, gain: number): Standing;
  /** It failed, and so it is told. */
  failed(standing: Standing, ending: Ending, failure: Failure): { readonly standing: Standing; readonly told: Told };
}

export interface Ending {
  readonly trial: Trial;
  readonly settings: EngineSettings;
  readonly nowMs: number;
}

type Told = Pick<Failure, 'as' | 'why'>;

/** Something better than what is held, by a strategy that is judged by what it finds. */
export const GAIN: Purpose = {
  isReturn: false,

  begun: (standing) => standing,

  kept(standing, ending, gain) {
    return withProven(learnt(standing, ending, gain), ending.trial, ending.trial.proposed, ending.nowMs);
  },

  failed(before, ending, { as, why, isVerdict }) {
    const { trial, nowMs } = ending;
    const { strategy, isSearch, isJump } = trial;
    const { cooldown, window } = ending.settings;
    const waitingFor = (standing: Standing, windows: number): Standing =>
      withTry(standing, strategy, nowMs, nowMs + windows * window.minMs);
    const windows = cooldown.windows * (isJump ? JUMP_PAUSES : 1);
    // A step too far is no failure of the search: it goes on from the incumbent, and not there again.
    const isSetback = as === 'rolled_back' && isSearch && !isJump && !trial.isProving;
    let standing = isSetback
      ? waitingFor(before, SETBACK_WINDOWS)
      : withFailure(before, strategy, nowMs, { ...cooldown, windows }, window.minMs);
    if (isVerdict) standing = learnt(standing, ending, 0);
    if (isVerdict) standing = withChoices(standing, trial.proposed, nowMs);
    // A plan made from what is known anyway would be the same again: it made no difference, so it need not come back soon.
    if (as === 'futile' && !isSearch) standing = waitingFor(standing, cooldown.maxWindows);
    return { standing, told: { as, why } };
  },
};

/** What the trial's end says of the strategy, or of the rule, that led to it. */
function learnt(standing: Standing, { trial, settings, nowMs }: Ending, gain: number): Standing {
  if (trial.rule !== undefined) {
    if (gain > 0) return standing;
    return { ...standing, rules: withFailedRule(standing.rules, trial.rule.context, trial.logStake, nowMs) };
  }
  const windows = (nowMs - trial.startedMs) / settings.window.minMs;
  const { minimumEffect } = settings.proof;
  const reward = rewardOf({ gain, harm: trial.harmSpent, windows, minimumEffect });
  return { ...standing, arms: withReward(standing.arms, trial.strategy, trial.context, reward) };
}
