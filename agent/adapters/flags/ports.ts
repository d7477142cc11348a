import type { Effect, Input, KnobSpec, KnobValue, Tier } from '../../core/model.ts';

/** A component that has no client of ours: its knobs are declared in the configuration, and it reads them as flags. */
export interface FlaggedComponent {
  readonly component: string;
  readonly tier: Tier;
  readonly knobs: readonly KnobSpec[];
}

/** What is said of a component that has a session of its own. */
export interface SeenComponent {
  readonly component: string;
  readonly connected: boolean;
  readonly knobs: readonly {
    readonly spec: KnobSpec;
    readonly effective?: KnobValue;
    readonly effectiveRevision: number;
  }[];
}

/** What the flags need of the rest of the agent. */
export interface FlagsPorts {
  /** Takes what the component of the configuration says, by way of its subscribers; must not block. */
  inbox(input: Extract<Input, { readonly kind: 'session' | 'result' }>): void;
  components(): readonly SeenComponent[];
  /** The wall clock: a lease becomes a moment that an application compares with its own. */
  nowMs(): number;
  /** Runs once after a delay; returns the way to call it off. */
  after(delayMs: number, run: () => void): () => void;
}

export type FlagsEffect = Extract<Effect, { readonly kind: 'command' | 'renewal' | 'revoke' }>;

/** A knob as a flag: its baseline, and what is in force instead, until when. */
export interface Flag {
  readonly component: string;
  readonly spec: KnobSpec;
  readonly tuned?: { readonly value: KnobValue; readonly revision: number; readonly untilMs: number };
}
