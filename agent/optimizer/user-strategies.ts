import type { Logger } from 'pino';
import { TIERS } from '../core/model.ts';
import { PROPOSAL_LIFE_MS } from '../core/tune/proposals.ts';
import type { AIComponent, ComponentTier } from './component.ts';
import type { ComponentKnob } from './component-knobs.ts';
import type { Consent } from './consent.ts';
import type { PerformanceProfile } from './metrics.ts';
import { StandIn } from './stand-in.ts';
import type { AdaptationRule, StrategyDefinition } from './strategy.ts';

/** A strategy or a rule of the user's, as both are asked. */
interface Author {
  readonly name: string;
  readonly rule?: string;
  readonly priority: number;
  readonly reason: string;
  readonly tiers: readonly ComponentTier[];
  readonly wants: (profile: PerformanceProfile) => boolean;
  readonly act: (component: AIComponent, profile: PerformanceProfile) => Promise<unknown>;
  readonly undo?: (component: AIComponent, result: unknown) => Promise<void>;
}

/** How an author stands with one component. */
interface Record {
  busy: boolean;
  /** What it has proposed and what its `apply` returned, until that is decided. */
  proposed: { readonly id: string; readonly result: unknown; readonly untilMs: number } | undefined;
  failures: number;
  retryAtMs: number;
}

/** What became of asking one author. */
export type Asked =
  | { readonly author: string; readonly outcome: 'proposed' }
  | { readonly author: string; readonly outcome: 'recommended'; readonly message: string }
  | { readonly author: string; readonly outcome: 'failed'; readonly error: string };

export interface UserStrategiesOptions {
  /** Of a component that is here; none otherwise. */
  readonly knobs: (component: string) => readonly ComponentKnob[];
  readonly consent: Consent;
  /** `optimization.enabled`. */
  readonly isEnabled: boolean;
  /** Confidence that a rule needs. */
  readonly adaptationThreshold: number;
  /** `apply`, `action` and `rollback` have this long. */
  readonly deadlineMs: number;
  /** After a failure an author waits this long, twice that after the next, and so on. */
  readonly pauseMs: number;
  readonly maxPauseMs: number;
  readonly nowMs: () => number;
  readonly failed: (component: string, strategy: string, error: string) => void;
  readonly log: Logger;
}

/** More are refused: each is asked about each component in every round. */
const MAX_AUTHORS = 256;

/**
 * Strategies and rules in the user's own words. They are asked in turn, given a stand-in to write on, and what they wrote is
 * proposed to the engine. One that throws, hangs, or sets what cannot be set harms nobody: it is told why, and waits.
 */
export class UserStrategies {
  readonly #options: UserStrategiesOptions;
  readonly #authors: Author[] = [];
  readonly #records = new Map<string, Record>();
  #rules = 0;

  constructor(options: UserStrategiesOptions) {
    this.#options = options;
  }

  register(strategy: StrategyDefinition): void {
    const { name, applicableTiers, canApply, apply, rollback, description = '', priority = 0 } = strategy;
    if (typeof name !== 'string' || name.trim() === '') throw new TypeError('a strategy needs a name');
    if (typeof canApply !== 'function' || typeof apply !== 'function') {
      throw new TypeError(`strategy ${name}: canApply and apply must be functions`);
    }
    const strange = applicableTiers.find((tier) => !TIERS.includes(tier));
    if (strange !== undefined) {
      throw new RangeError(`strategy ${name}: ${JSON.stringify(strange)} is no tier; allowed: ${TIERS.join(', ')}`);
    }
    this.#add({
      ...{ name, priority, tiers: applicableTiers, reason: description || `proposed by ${name}` },
      wants: (profile) => canApply(profile),
      act: (component, profile) => apply(component, profile),
      ...(rollback !== undefined && {
        // What `apply` has returned is what the user's own rollback expects.
        undo: (component: AIComponent, result: unknown) =>
          rollback(component, result as Parameters<typeof rollback>[1]),
      }),
    });
  }

  addRule(rule: AdaptationRule): void {
    const { condition, action, confidence, priority } = rule;
    const name = rule.name ?? `rule ${++this.#rules}`;
    if (typeof condition !== 'function' || typeof action !== 'function') {
      throw new TypeError(`${name}: condition and action must be functions`);
    }
    if (!(confidence >= 0 && confidence <= 1)) {
      throw new RangeError(`${name}: confidence is ${confidence}; allowed: 0 to 1`);
    }
    this.#add({
      ...{ name, rule: name, priority, tiers: TIERS, reason: `${name} holds, confidence ${confidence}` },
      wants: (profile) => confidence >= this.#options.adaptationThreshold && condition(profile),
      act: (component, profile) => action(component, profile),
    });
  }

  /** Asks those who may be asked, the highest priority first, until one has proposed something. */
  async ask(component: AIComponent, profile: PerformanceProfile): Promise<readonly Asked[]> {
    const asked: Asked[] = [];
    if (!this.#options.isEnabled) return asked;
    for (const author of this.#authors) {
      const record = this.#recordOf(component.name, author.name);
      const nowMs = this.#options.nowMs();
      const isWaiting = record.proposed !== undefined && record.proposed.untilMs > nowMs;
      if (record.busy || isWaiting || record.retryAtMs > nowMs) continue;
      if (!author.tiers.includes(component.tier) || !this.#wants(author, profile)) continue;
      record.busy = true;
      const outcome = await this.#act(author, component, profile, record).finally(() => {
        record.busy = false;
      });
      if (outcome !== undefined) asked.push(outcome);
      if (outcome?.outcome === 'proposed') break;
    }
    return asked;
  }

  /** Something that was proposed is decided. */
  decided(component: AIComponent, proposalId: string, kept: boolean): void {
    for (const author of this.#authors) {
      const record = this.#recordOf(component.name, author.name);
      if (record.proposed?.id !== proposalId) continue;
      const { result } = record.proposed;
      record.proposed = undefined;
      if (kept) {
        record.failures = 0;
        return;
      }
      this.#pause(record);
      // Nobody waits for it, and it never rejects.
      void this.#undo(author, component, result);
      return;
    }
  }

  forget(component: string): void {
    for (const key of [...this.#records.keys()]) if (key.startsWith(`${component}\n`)) this.#records.delete(key);
  }

  #add(author: Author): void {
    if (this.#authors.some(({ name }) => name === author.name)) {
      throw new RangeError(`a strategy or rule named ${JSON.stringify(author.name)} is registered already`);
    }
    if (this.#authors.length >= MAX_AUTHORS) throw new RangeError(`${MAX_AUTHORS} strategies and rules are the most`);
    this.#authors.push(author);
    this.#authors.sort((a, b) => b.priority - a.priority);
  }

  /** A condition that throws does not hold: it may have read what was not measured. */
  #wants(author: Author, profile: PerformanceProfile): boolean {
    try {
      return author.wants(profile) === true;
    } catch (error) {
      this.#options.log.debug({ err: error, strategy: author.name }, 'a condition threw, and so does not hold');
      return false;
    }
  }

  async #act(
    author: Author,
    component: AIComponent,
    profile: PerformanceProfile,
    record: Record,
  ): Promise<Asked | undefined> {
    const { knobs, consent, deadlineMs } = this.#options;
    const standIn = new StandIn(component, knobs(component.name));
    let result: unknown;
    try {
      result = await within(deadlineMs, () => author.act(standIn.component, profile));
    } catch (error) {
      standIn.close();
      return this.#failed(author, component, record, messageOf(error));
    }
    const caught = standIn.close();
    if ('refused' in caught) return this.#failed(author, component, record, caught.refused);
    if (Object.keys(caught.changes).length === 0) {
      this.#pause(record);
      return undefined;
    }
    const { name: strategy, rule, reason } = author;
    const idea = { strategy, reason, ...(rule !== undefined && { rule }) };
    const reply = await consent.propose(component.name, caught.changes, idea);
    if (!reply.ok) return this.#failed(author, component, record, reply.message);
    if (reply.proposalId === undefined) {
      this.#pause(record);
      return { author: strategy, outcome: 'recommended', message: reply.message };
    }
    record.proposed = { id: reply.proposalId, result, untilMs: this.#options.nowMs() + PROPOSAL_LIFE_MS };
    return { author: strategy, outcome: 'proposed' };
  }

  #failed(author: Author, component: AIComponent, record: Record, error: string): Asked {
    this.#pause(record);
    this.#options.failed(component.name, author.name, error);
    return { author: author.name, outcome: 'failed', error };
  }

  /** The values themselves have been restored by the engine: what a rollback sets on its stand-in goes nowhere. */
  async #undo({ name, undo }: Author, component: AIComponent, result: unknown): Promise<void> {
    if (undo === undefined) return;
    const standIn = new StandIn(component, this.#options.knobs(component.name));
    try {
      await within(this.#options.deadlineMs, () => undo(standIn.component, result));
    } catch (error) {
      this.#options.failed(component.name, name, `rollback: ${messageOf(error)}`);
    } finally {
      standIn.close();
    }
  }

  #pause(record: Record): void {
    const { pauseMs, maxPauseMs, nowMs } = this.#options;
    record.retryAtMs = nowMs() + Math.min(maxPauseMs, pauseMs * 2 ** record.failures);
    record.failures = Math.min(30, record.failures + 1);
  }

  #recordOf(component: string, author: string): Record {
    const key = `${component}\n${author}`;
    let record = this.#records.get(key);
    if (record === undefined) {
      record = { busy: false, proposed: undefined, failures: 0, retryAtMs: Number.NEGATIVE_INFINITY };
      this.#records.set(key, record);
    }
    return record;
  }
}

async function within<T>(deadlineMs: number, run: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`has not finished within ${deadlineMs} ms`)), deadlineMs);
    timer.unref();
  });
  try {
    return await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
