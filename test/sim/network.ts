import type { Random } from './random.ts';
import type { ChannelSpec } from './scenario.ts';

/** What becomes of one message: the delays of its copies, none when it is lost. */
export type Fate = readonly number[];

const LOST: Fate = [];
const HELD_BACK_DELAYS = 10;

/**
 * A bad network in virtual time: each message is delayed, and may be lost, doubled, or held back until later ones have
 * passed it. Pure chance from a seeded stream; whoever owns the clock schedules the copies.
 */
export class Channel {
  readonly #spec: ChannelSpec;
  readonly #random: Random;
  /** Both directions are cut. */
  isCut = false;
  sentTotal = 0;
  lostTotal = 0;
  duplicatedTotal = 0;

  constructor(spec: ChannelSpec, random: Random) {
    this.#spec = spec;
    this.#random = random;
  }

  fate(): Fate {
    this.sentTotal++;
    if (this.isCut || this.#random.chance(this.#spec.loss)) {
      this.lostTotal++;
      return LOST;
    }
    if (!this.#random.chance(this.#spec.duplicate)) return [this.#delayMs()];
    this.duplicatedTotal++;
    return [this.#delayMs(), this.#delayMs()];
  }

  /** Longest time that a message can be under way. */
  get maxDelayMs(): number {
    return this.#spec.delayMs[1] * (this.#spec.reorder > 0 ? HELD_BACK_DELAYS + 1 : 1);
  }

  #delayMs(): number {
    const [low, high] = this.#spec.delayMs;
    const delayMs = this.#random.between(low, high);
    return this.#random.chance(this.#spec.reorder)
      ? delayMs * (1 + HELD_BACK_DELAYS * this.#random.uniform())
      : delayMs;
  }
}
