import type { ExpectedImprovement } from '../analytics/results.ts';
import type { KnobValue } from '../model.ts';

export const RECOMMENDATION_SOURCES = ['strategy', 'bottleneck', 'forecast', 'health'] as const;
export type RecommendationSource = (typeof RECOMMENDATION_SOURCES)[number];

/**
 * One way to make the change, ready to paste: a value of a knob, a command of this agent, a command line flag, an
 * environment variable, lines of a Kubernetes manifest.
 */
export interface Step {
  readonly kind: 'knob' | 'command' | 'flag' | 'environment' | 'manifest';
  readonly text: string;
}

/** Something that a human should change, exactly. */
export interface Recommendation {
  readonly id: string;
  /** `@host`: the machine. */
  readonly component: string;
  readonly source: RecommendationSource;
  /** What is recommended, in a few words; the strategy's name where one recommends it. */
  readonly optimization: string;
  /** Why, in a sentence. */
  readonly reason: string;
  /** Each by itself makes the change, best first. Those that only take effect at a restart say so. */
  readonly steps: readonly Step[];
  readonly changes: readonly { readonly knob: string; readonly from: KnobValue; readonly to: KnobValue }[];
  /** What it rests on, units last. */
  readonly signals: Readonly<Record<string, number>>;
  readonly sinceMs: number;
  /** Last time that it was found to hold. */
  readonly seenMs: number;
  /** From comparable trials; absent where there were none. */
  readonly expected?: ExpectedImprovement;
  /** How likely a comparable trial was to be kept; absent where there was none. */
  readonly confidence?: number;
  /** The proposal that waits for approval, where it is one. */
  readonly proposalId?: string;
}

/** A recommendation before it has an id and a history. Drafts of the same key are the same recommendation. */
export interface Draft
  extends Pick<Recommendation, 'component' | 'source' | 'optimization' | 'reason' | 'steps' | 'signals'> {
  readonly key: string;
  readonly changes?: Recommendation['changes'];
  readonly strategy?: string;
  readonly proposalId?: string;
}
