import type { Effect, Input } from '../../agent/core/model.ts';
import type { EngineSettings } from '../../agent/core/settings.ts';
import type { Random } from './random.ts';
import type { EngineFactory, SimEngine } from './seam.ts';

/** What the agent does with effects, as the runtime orders them: decisions and state durable first, then the rest. */
export interface AgentPort {
  /** Decisions are on disk, together with the state that belongs to them. */
  durable(effect: Effect & { kind: 'decision' }): void;
  /** Leaves the agent. */
  send(effect: Effect): void;
}

/**
 * The sidecar in virtual time: lives of an engine, and the disk between them. Killed with -9 it loses everything but the
 * disk; a kill may fall between what a step made durable and what it had yet to send.
 */
export class SimAgent {
  readonly #create: EngineFactory;
  readonly #settings: EngineSettings;
  readonly #seed: number;
  readonly #random: Random;
  readonly #port: AgentPort;
  #engine: SimEngine | undefined;
  #epoch = 0;
  /** As text, as on disk: what does not survive JSON is not state. */
  #saved: string | undefined;
  #killsAtNextEffects = false;
  steps = 0;
  /** What the last step led to. */
  lastEffects: readonly Effect[] = [];

  constructor(create: EngineFactory, settings: EngineSettings, seed: number, random: Random, port: AgentPort) {
    this.#create = create;
    this.#settings = settings;
    this.#seed = seed;
    this.#random = random;
    this.#port = port;
  }

  get engine(): SimEngine | undefined {
    return this.#engine;
  }

  get epoch(): number {
    return this.#epoch;
  }

  start(): void {
    // The epoch is persisted before anything is sent under it.
    this.#epoch++;
    const base = { settings: this.#settings, seed: this.#seed, epoch: this.#epoch };
    this.#engine = this.#create(this.#saved === undefined ? base : { ...base, saved: JSON.parse(this.#saved) });
  }

  kill(): void {
    this.#engine = undefined;
    this.#killsAtNextEffects = false;
  }

  /** The next step that has effects will be the last one: killed somewhere among them. */
  killAmongEffects(): void {
    this.#killsAtNextEffects = true;
  }

  /** False when the agent did not survive the step. */
  step(nowMs: number, input: Input): boolean {
    const engine = this.#engine;
    if (engine === undefined) return false;
    const effects = engine.step(nowMs, input);
    this.steps++;
    this.lastEffects = effects;
    if (effects.length === 0) return true;

    // 0: nothing reached the disk; 1: the disk but no one else; n: n − 1 further effects went out.
    const others = effects.filter((effect) => effect.kind !== 'decision');
    const cut = this.#killsAtNextEffects ? this.#random.below(others.length + 2) : Number.POSITIVE_INFINITY;
    if (cut === 0) return this.#killed();
    const decisions = effects.filter((effect) => effect.kind === 'decision');
    if (decisions.length > 0) {
      this.#saved = JSON.stringify(engine.save());
      for (const effect of decisions) this.#port.durable(effect);
    }
    for (const effect of others.slice(0, Math.min(others.length, cut - 1))) this.#port.send(effect);
    return cut === Number.POSITIVE_INFINITY || this.#killed();
  }

  #killed(): false {
    this.kill();
    return false;
  }
}
