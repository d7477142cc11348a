import type { Effect, Input, Setting } from '../../agent/core/model.ts';
import type { EngineSettings } from '../../agent/core/settings.ts';

/** The engine as the simulation sees it. Structural, so that stand-ins and deliberately broken engines fit as well. */
export interface SimEngine {
  step(nowMs: number, input: Input): readonly Effect[];
  /** Plain JSON. */
  save(): unknown;
  /** What the engine believes the process holds; undefined for a component it does not know. */
  belief(component: string): Belief | undefined;
}

export interface Belief {
  /** Nothing is under way: the engine holds that the process runs with exactly `setting`. */
  readonly isSettled: boolean;
  readonly setting: Setting;
  /** What should be in force when nothing is being tried. */
  readonly incumbent: Setting;
  /** Ids of proposals that wait. */
  readonly proposals?: readonly string[];
  /** Settings that were in force one after another. */
  readonly revisions?: readonly { readonly revision: number; readonly setting: Setting }[];
  readonly pinned?: readonly string[];
  /** Ids of proven settings that may be chosen. */
  readonly points?: readonly string[];
  /** What it is at, in a word. */
  readonly activity?: string;
}

export interface SimEngineOptions {
  readonly settings: EngineSettings;
  readonly seed: number;
  readonly epoch: number;
  readonly saved?: unknown;
}

export type EngineFactory = (options: SimEngineOptions) => SimEngine;
