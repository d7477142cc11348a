/**
 * Times at which a change of a metric is explained already. After a restart, a deploy or a counter reset, caches are
 * cold and averages start anew: what is odd then is no news, and what is still odd afterwards will be seen afterwards. A
 * change that the tuner made itself is expected to move metrics: that is noted, not alerted.
 */
export type QuietReason =
  | { readonly kind: 'restart' }
  | { readonly kind: 'deploy' }
  | { readonly kind: 'counter_reset' }
  | { readonly kind: 'agent_away' }
  | { readonly kind: 'own_change'; readonly what: string };

/** How long after a restart, deploy or reset nothing is alerted, unless its reporter knows better. */
export const SETTLE_MS = 600_000;

export interface QuietTime {
  readonly reason: QuietReason;
  readonly fromMs: number;
  readonly untilMs: number;
}

/**
 * The later end wins; of two that overlap the newer explains, from the beginning of the older: what was measured just
 * before a command is taken in after it, and the command before that explains it still.
 */
export function extendQuiet(current: QuietTime | undefined, added: QuietTime): QuietTime {
  if (current === undefined) return added;
  if (added.untilMs < current.untilMs) return current;
  const overlaps = added.fromMs <= current.untilMs;
  return overlaps ? { ...added, fromMs: Math.min(current.fromMs, added.fromMs) } : added;
}

export function describeQuiet(reason: QuietReason): string {
  switch (reason.kind) {
    case 'restart':
      return 'the process restarted';
    case 'deploy':
      return 'a new version was deployed';
    case 'counter_reset':
      return 'its counter was reset';
    case 'agent_away':
      return 'the agent was away';
    case 'own_change':
      return `the tuner changed ${reason.what}`;
  }
}
