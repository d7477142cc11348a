import type { Decision, Effect } from '../../../agent/core/model.ts';
import type { Watcher } from '../world.ts';

/** Counts what was kept; on a plant whose knobs do nothing every one of them is false. */
export class PromotionCounter implements Watcher {
  promoted = 0;
  decided(_atMs: number, { kind }: Decision): void {
    if (kind === 'promoted') this.promoted++;
  }
}

/** A fingerprint of everything the engine said: equal for equal runs. */
export class EffectDigest implements Watcher {
  #hash = 0x811c9dc5;
  effects = 0;

  emitted(atMs: number, effect: Effect): void {
    this.#add(`${atMs}${JSON.stringify(effect)}`);
  }

  decided(atMs: number, decision: Decision): void {
    this.#add(`${atMs}${JSON.stringify(decision)}`);
  }

  get value(): string {
    return (this.#hash >>> 0).toString(16);
  }

  #add(text: string): void {
    this.effects++;
    for (let i = 0; i < text.length; i++) this.#hash = Math.imul(this.#hash ^ text.charCodeAt(i), 0x01000193);
  }
}
