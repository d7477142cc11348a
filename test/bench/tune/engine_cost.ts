import { realEngine } from '../../sim/real_engine.ts';
import type { EngineFactory, SimEngine } from '../../sim/seam.ts';
import { usedBytes } from '../tax/used_bytes.ts';
import { threadMs } from './thread_clock.ts';

/**
 * What the engine costs a run: the time of its steps, summed by windows of virtual time, and the memory that goes when it does.
 *
 * Only the engine is timed and weighed: the plant, the client and the messages of the simulation are not its own.
 */
export class EngineCost {
  readonly #windowMs: number;
  readonly #usByWindow = new Map<number, number>();
  #engine: SimEngine | undefined;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  readonly create: EngineFactory = (options) => {
    const cost = this;
    this.#engine = realEngine(options);
    return {
      step: (nowMs, input) => {
        const beganMs = threadMs();
        const effects = cost.#alive.step(nowMs, input);
        const window = Math.floor(nowMs / cost.#windowMs);
        const us = 1_000 * (threadMs() - beganMs);
        cost.#usByWindow.set(window, (cost.#usByWindow.get(window) ?? 0) + us);
        return effects;
      },
      save: () => cost.#alive.save(),
      belief: (component) => cost.#alive.belief(component),
    };
  };

  /** Microseconds of each window that it was stepped in. */
  get usOfWindows(): readonly number[] {
    return [...this.#usByWindow.values()];
  }

  /** Lets go of the engine, and says how much memory that has freed. */
  release(): number {
    const before = usedBytes();
    this.#engine = undefined;
    return before - usedBytes();
  }

  get #alive(): SimEngine {
    if (this.#engine === undefined) throw new Error('an engine that was released is asked');
    return this.#engine;
  }
}
