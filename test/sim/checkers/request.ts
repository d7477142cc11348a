import type { Decision, Effect, OperatorRequest, Setting } from '../../../agent/core/model.ts';
import { sameSetting } from '../knob_space.ts';
import type { Belief } from '../seam.ts';
import { Rule } from './rule.ts';

/** A proposal lives for a day; then it must have been tried or declined. */
const PROPOSAL_MS = 86_400_000;

/**
 * Each request is answered once; what was proposed is tried or declined, once and in time; and what is rolled back is a setting
 * that was in force before, value by value, but for what is pinned.
 */
export class RequestChecker extends Rule {
  readonly rule = 'requests are answered and kept';
  readonly #slackMs: number;
  readonly #proposed = new Map<string, number>();
  readonly #ended = new Set<string>();
  /** By revision, as this agent first told it. */
  readonly #inForce = new Map<number, Setting>();
  answered = 0;
  proposed = 0;
  rolledBack = 0;

  constructor(slackMs: number) {
    super();
    this.#slackMs = slackMs;
  }

  agentStarted(): void {
    // What was not on disk when the agent was killed never was.
    this.#inForce.clear();
  }

  asked(atMs: number, request: OperatorRequest, effects: readonly Effect[], belief: Belief | undefined): void {
    const replies = effects.filter((effect) => effect.kind === 'reply' && effect.requestId === request.requestId);
    const [reply] = replies;
    if (replies.length !== 1 || reply?.kind !== 'reply') {
      return this.report(atMs, `${request.action} got ${replies.length} replies`);
    }
    this.answered++;
    if (request.action === 'rollback' && reply.ok) this.#check(atMs, request.toRevision, belief);
    this.#see(atMs, belief);
  }

  ticked(atMs: number, belief: Belief | undefined): void {
    this.#see(atMs, belief);
    for (const [id, sinceMs] of this.#proposed) {
      if (belief === undefined || atMs - sinceMs <= PROPOSAL_MS + this.#slackMs) continue;
      if (belief.proposals?.includes(id) !== true) this.report(atMs, `${id} is gone without a word`);
      else if (belief.isSettled) this.report(atMs, `${id} waits since ${sinceMs} ms`);
      this.#proposed.delete(id);
    }
  }

  decided(atMs: number, { kind, proposalId }: Decision): void {
    if (proposalId === undefined || kind === 'approved') return;
    if (kind === 'proposed') {
      this.#proposed.set(proposalId, atMs);
      this.proposed++;
    } else if (kind === 'declined' || kind === 'trial_started') {
      if (this.#ended.has(proposalId)) this.report(atMs, `${proposalId} ended twice (${kind})`);
      else if (!this.#proposed.has(proposalId)) this.report(atMs, `${proposalId} was never proposed (${kind})`);
      this.#proposed.delete(proposalId);
      this.#ended.add(proposalId);
    }
  }

  #check(atMs: number, toRevision: number | undefined, belief: Belief | undefined): void {
    if (belief === undefined) return;
    this.rolledBack++;
    const { incumbent } = belief;
    const target = toRevision === undefined ? undefined : this.#inForce.get(toRevision);
    if (target === undefined) return;
    for (const [knob, value] of Object.entries(target)) {
      if (belief.pinned?.includes(knob) === true || Object.is(incumbent[knob], value)) continue;
      this.report(atMs, `back at revision ${toRevision} ${knob} is ${incumbent[knob]}, recorded was ${value}`);
    }
  }

  #see(atMs: number, belief: Belief | undefined): void {
    if (belief?.revisions === undefined) return;
    for (const { revision, setting } of belief.revisions) {
      const known = this.#inForce.get(revision);
      if (known === undefined) this.#inForce.set(revision, setting);
      else if (!sameSetting(known, setting)) this.report(atMs, `revision ${revision} has changed`);
    }
    const last = belief.revisions.at(-1)?.setting;
    if (belief.isSettled && last !== undefined && !sameSetting(last, belief.incumbent)) {
      this.report(atMs, 'the last revision is not the incumbent');
    }
  }
}
