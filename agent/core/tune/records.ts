import type { Decision, DecisionKind, Effect, EventType, Evidence } from '../model.ts';
import type { ObjectiveWeights } from './objective.ts';

export interface DecisionDetails {
  readonly changes: Decision['changes'];
  readonly strategy?: string;
  readonly trialId?: string;
  readonly proposalId?: string;
  readonly by?: string;
  readonly evidence?: Evidence;
  /** Where there is no trial: what the decision rests on. */
  readonly signals?: Readonly<Record<string, number>>;
}

/** Collects what one input leads to, in the order in which it must be carried out. */
export class Records {
  readonly #component: string;
  readonly #weights: ObjectiveWeights;
  readonly #nextId: () => string;
  #effects: Effect[] = [];
  #lastId: string | undefined;

  constructor(component: string, weights: ObjectiveWeights, nextId: () => string) {
    this.#component = component;
    this.#weights = weights;
    this.#nextId = nextId;
  }

  /** Returns the decision's id. */
  decide(kind: DecisionKind, atMs: number, reason: string, details: DecisionDetails): string {
    const { signals, ...fields } = details;
    const evidence =
      fields.evidence ?? (signals && { objective: this.#weights, blocks: [], signals, alternatives: [] });
    const id = this.#nextId();
    const decision: Decision = {
      id,
      atMs,
      component: this.#component,
      kind,
      reason,
      ...fields,
      ...(evidence !== undefined && { evidence }),
    };
    this.#effects.push({ kind: 'decision', decision });
    this.#lastId = id;
    return id;
  }

  /** The newest decision since the last `flush`. */
  get lastId(): string | undefined {
    return this.#lastId;
  }

  emit(type: EventType, atMs: number, data: Readonly<Record<string, unknown>>): void {
    this.#effects.push({ kind: 'event', event: { type, component: this.#component, atMs, data } });
  }

  add(effects: readonly Effect[]): void {
    this.#effects.push(...effects);
  }

  /** Everything since the last time. Decisions first: they must be durable before anything they announce is done. */
  flush(): readonly Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    this.#lastId = undefined;
    if (effects.length < 2) return effects;
    const isDecision = (effect: Effect): boolean => effect.kind === 'decision';
    return [...effects.filter(isDecision), ...effects.filter((effect) => !isDecision(effect))];
  }
}
