import type {
  Command,
  HeldKnob,
  KnobResult,
  KnobSpec,
  KnobValue,
  Manifest,
  Setting,
  Tier,
} from '../../agent/core/model.ts';
import type { Random } from './random.ts';
import type { Faults } from './scenario.ts';

/** What a process sends of its own accord or as an answer. */
export type ClientMessage =
  | { readonly kind: 'result'; readonly commandId: string; readonly results: readonly KnobResult[] }
  | { readonly kind: 'override'; readonly knob: string; readonly value: KnobValue }
  | { readonly kind: 'holding'; readonly held: readonly HeldKnob[] };

export interface ClientIdentity {
  readonly component: string;
  readonly tier: Tier;
  readonly instanceUid: string;
  readonly incarnation: number;
}

/** The knobs of one process, in virtual time: the model of `client_model.ts`, or the code that ships. */
export interface SimClient {
  /** What the process really runs with. The same object until something changes. */
  readonly setting: Setting;
  readonly manifest: Manifest;
  /** When something will happen by itself: an application that takes its time, or a lease that runs out. */
  readonly nextMs: number;
  advance(nowMs: number): void;
  /** What it has to say since it was last asked. */
  takeMessages(): readonly ClientMessage[];
  onWelcome(epoch: number, nowMs: number): void;
  onParted(nowMs: number): void;
  onCommand(command: Command, nowMs: number): void;
  onRenewal(epoch: number, revision: number, ttlMs: number, nowMs: number): void;
  onRevoke(epoch: number, revision: number, knobs: readonly string[], nowMs: number): void;
  /** True when promises are under way: the virtual clock has to stand still until they are through. */
  takeBusy(): boolean;
}

export type ClientFactory = (
  identity: ClientIdentity,
  specs: readonly KnobSpec[],
  faults: Faults['client'],
  random: Random,
) => SimClient;
