import type { Setting } from '../core/model.ts';
import type { Agent, Reply } from './agent.ts';

export interface Idea {
  readonly strategy: string;
  readonly rule?: string;
  readonly reason: string;
}

const BY = 'the optimizer, for knobs that are not declared';

/**
 * Who may turn what nobody has declared: a strategy of the owner's own, which names it, and nobody else. Such knobs are set to
 * mode `approve`, so that no search touches them unasked, and a proposal of the owner's strategy for them is approved in its name.
 * Knobs that the configuration or an operator has set to ask first are left at that.
 */
export class Consent {
  readonly #agent: () => Agent;
  readonly #given = new Map<string, ReadonlySet<string>>();

  constructor(agent: () => Agent) {
    this.#agent = agent;
  }

  /** A component is there: its undeclared knobs are to ask first. Once it has worked, doing it again does nothing. */
  async take(component: string): Promise<void> {
    if (this.#given.has(component)) return;
    const undeclared =
      this.#agent()
        .knobs(component)
        ?.filter(({ declared }) => !declared) ?? [];
    const modes = undeclared.length === 0 ? new Map() : await this.#agent().modes(component);
    const given = new Set<string>();
    for (const { spec } of undeclared) {
      if (modes.get(spec.id) !== 'auto') continue;
      const action = { action: 'set_mode', component, knob: spec.id, mode: 'approve' } as const;
      if ((await this.#agent().ask(action, BY)).ok) given.add(spec.id);
    }
    this.#given.set(component, given);
  }

  forget(component: string): void {
    this.#given.delete(component);
  }

  async propose(component: string, changes: Setting, { strategy, rule, reason }: Idea): Promise<Reply> {
    const by = rule ?? strategy;
    const idea = { strategy, reason, ...(rule !== undefined && { rule }) };
    const reply = await this.#agent().ask({ action: 'propose', component, changes, ...idea }, by);
    if (!reply.ok || reply.proposalId === undefined) return reply;
    const modes = await this.#agent().modes(component);
    const asking = Object.keys(changes).filter((knob) => modes.get(knob) === 'approve');
    const given = this.#given.get(component);
    if (asking.length > 0 && asking.every((knob) => given?.has(knob) === true)) {
      const approved = await this.#agent().ask({ action: 'approve', proposalId: reply.proposalId }, by);
      if (!approved.ok) return approved;
    }
    return reply;
  }
}
