import type { DecisionKind } from '../core/model.ts';

/** What each kind of decision means, in a few words; the compiler holds the list complete. */
export const KIND_MEANINGS: Readonly<Record<DecisionKind, string>> = {
  trial_started: 'a change is being tried against the incumbent',
  promoted: 'the change proved itself and is kept',
  rolled_back: 'the change was taken back; the recorded values are restored',
  futile: 'the change could not prove itself in time; the recorded values are restored',
  shadow_rejected: 'judged without touching anything, and not tried',
  audited: 'the incumbent was compared with itself, to see how often the proof errs',
  recommended: 'for a human to do; nothing was changed',
  proposed: 'waits for approval, or for its turn',
  approved: 'a human let it go ahead',
  chosen: 'a human chose a proven setting',
  declined: 'a proposal will not be tried: a human said no, or something stands against it',
  restored: 'values were restored after a restart or a lost session',
  value_rejected: 'the process refused a value; it is not tried again',
  frozen: 'tuning stopped',
  unfrozen: 'tuning goes on',
  pinned: 'a knob is kept where it is',
  unpinned: 'a knob is free again',
  mode_changed: 'what the tuner may do was changed',
  paused: 'nothing is tried while an anomaly is open',
  resumed: 'the anomaly is over, and tuning goes on',
  silenced: 'a human wants no word of anomalies for a while',
  acknowledged: 'a human has seen an anomaly',
};

export const DECISION_KINDS: readonly string[] = Object.keys(KIND_MEANINGS);

export function isDecisionKind(word: string): word is DecisionKind {
  return Object.hasOwn(KIND_MEANINGS, word);
}
