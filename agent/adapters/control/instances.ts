/**
 * The processes that say they are the same component: workers of a prefork server, replicas on one host. To the engine they are one
 * session. Each gets the same commands; a change is in force when it is in force at all of them, and refused when one refuses it.
 *
 *   manifest   the knobs that all have declared alike, the most cautious tier; who came first speaks for the rest
 *   held       what all hold alike; where they differ it counts as another agent's, so that the engine commands it anew
 *   joining    a new manifest: what is open is taken back, and the newcomer is brought to where the others are
 *   leaving    the session ends, with the reason, and begins again with those that remain
 *
 * An only instance is passed on as it is.
 */
import {
  type Command,
  type HeldKnob,
  type KnobResult,
  type KnobSpec,
  type Manifest,
  TIERS,
  type Tier,
} from '../../core/model.ts';
import { quote } from './hello.ts';
import type { ControlEffect, SessionInput } from './ports.ts';

/** One process's session, as far as it matters here. */
export interface Member {
  readonly manifest: Manifest | undefined;
  /** What it holds now that is not simply its baseline. */
  readonly holding: readonly HeldKnob[];
  command(command: Command): void;
  renew(effect: ControlEffect & { kind: 'renewal' }): void;
  revoke(effect: ControlEffect & { kind: 'revoke' }): void;
}

/** Of no agent: what is held under it must be commanded anew. */
const NO_EPOCH = 0;

export class Instances<M extends Member> {
  readonly #inbox: (input: SessionInput) => void;
  /** In the order in which they came. */
  readonly #members = new Set<M>();
  #inFlight: { readonly command: Command; readonly answers: Map<M, Map<string, KnobResult>> } | undefined;
  /** Of who came first since nobody was there: that one worker of many starts again is no restart of the component. */
  #incarnation = 0;

  constructor(inbox: (input: SessionInput) => void) {
    this.#inbox = inbox;
  }

  get members(): ReadonlySet<M> {
    return this.#members;
  }

  /** The session of the same process instance, if there is one. */
  instance(instanceUid: string): M | undefined {
    return [...this.#members].find(({ manifest }) => manifest?.instanceUid === instanceUid);
  }

  join(member: M): void {
    this.#members.add(member);
  }

  /** False: it was not here. */
  leave(member: M): boolean {
    return this.#members.delete(member);
  }

  perform(effect: ControlEffect & { kind: 'command' | 'renewal' | 'revoke' }): void {
    const members = [...this.#members].filter(({ manifest }) => manifest !== undefined);
    if (effect.kind === 'renewal') for (const member of members) member.renew(effect);
    else if (effect.kind === 'revoke') for (const member of members) member.revoke(effect);
    else if (members.length === 1) members[0]?.command(effect.command);
    else {
      this.#inFlight = { command: effect.command, answers: new Map(members.map((member) => [member, new Map()])) };
      for (const member of members) member.command(overHand(effect.command, member));
    }
  }

  /** What a member says, after what it says is noted in its manifest and in what it holds. */
  heard(member: M, input: SessionInput): void {
    const isOnly = this.#members.size === 1;
    switch (input.kind) {
      case 'session':
        this.#inFlight = undefined;
        if (input.event === 'opened') {
          if (isOnly) this.#incarnation = input.manifest.incarnation;
          this.#inbox(isOnly ? input : { ...input, manifest: this.#manifest() });
          return;
        }
        this.#inbox(input);
        if (this.#members.size > 0) this.#inbox({ kind: 'session', event: 'opened', manifest: this.#manifest() });
        return;
      case 'override':
        this.#inbox(input);
        // The hand was laid on one of them and is meant for all.
        if (!isOnly) this.#inbox({ kind: 'session', event: 'opened', manifest: this.#manifest() });
        return;
      case 'holding':
        this.#inbox(isOnly ? input : { ...input, held: this.#manifest().held });
        return;
      case 'result':
        if (isOnly && this.#inFlight === undefined) this.#inbox(input);
        else this.#result(member, input);
    }
  }

  #result(member: M, input: SessionInput & { kind: 'result' }): void {
    const inFlight = this.#inFlight;
    const answers = inFlight?.answers.get(member);
    if (inFlight === undefined || answers === undefined || input.commandId !== inFlight.command.commandId) {
      // A lease that ran out at one of them is news; that each of them has dropped an older command is not.
      const lost = input.results.filter(({ state }) => state === 'expired' || state === 'rolled_back');
      if (lost.length > 0) this.#inbox({ ...input, results: lost });
      return;
    }
    const slow = input.results.filter(isUnderWay);
    for (const result of input.results) if (!isUnderWay(result)) answers.set(result.knob, result);
    if (slow.length > 0) this.#inbox({ ...input, results: slow });
    const { command } = inFlight;
    const hasAnswered = ([, said]: [M, Map<string, KnobResult>]): boolean =>
      command.changes.every(({ knob }) => said.has(knob));
    if (![...inFlight.answers].every(hasAnswered)) return;
    this.#inFlight = undefined;
    const results = command.changes.map(({ knob, value }) => {
      const all = [...inFlight.answers].flatMap(([from, said]) => {
        const result = said.get(knob);
        return result === undefined ? [] : [{ from, result }];
      });
      const worst = all.find(({ result }) => result.state !== 'applied');
      const odd = command.validateOnly ? undefined : all.find(({ result }) => result.effectiveValue !== value);
      return named(worst ?? odd ?? all[0]!); // A command has members, and each has answered.
    });
    this.#inbox({ ...input, results });
  }

  #manifest(): Manifest {
    const manifests = [...this.#members].flatMap(({ manifest }) => manifest ?? []);
    const [first, ...others] = manifests;
    if (first === undefined) throw new Error('a component without instances has no manifest');
    const knobs = first.knobs.filter((spec) => others.every((other) => other.knobs.some((its) => isAlike(spec, its))));
    return {
      ...first,
      incarnation: this.#incarnation,
      tier: manifests.map(({ tier }) => tier).reduce(moreCautious),
      knobs,
      held: knobs.flatMap((spec) => this.#held(spec)),
      validates: manifests.every(({ validates }) => validates === true),
    };
  }

  #held({ id, baseline }: KnobSpec): readonly HeldKnob[] {
    const entries = [...this.#members].map(({ holding }) => holding.find(({ knob }) => knob === id));
    const known = entries.filter((entry) => entry !== undefined);
    const [first] = known;
    if (first === undefined) return [];
    if (entries.every((entry) => entry !== undefined && isSame(entry, first))) return [first];
    const revision = Math.max(1, ...known.map((entry) => entry.revision));
    // Where a hand was laid on one of them, that is the value to be told of: the engine has heard, or hears, that it is pinned.
    const { value } = known.find(({ manual }) => manual) ?? known.find((entry) => entry.value !== baseline) ?? first;
    return [{ knob: id, value, epoch: NO_EPOCH, revision, manual: false }];
  }
}

/** A process insists on being told the value that was set by hand, and the engine knows of one such value only. */
function overHand(command: Command, member: Member): Command {
  const changes = command.changes.map((change) => {
    const hand = member.holding.find(({ knob, manual }) => manual && knob === change.knob);
    return hand === undefined || change.expectedCurrent !== undefined
      ? change
      : { ...change, expectedCurrent: hand.value };
  });
  return { ...command, changes };
}

function named({ from, result }: { readonly from: Member; readonly result: KnobResult }): KnobResult {
  if (result.error === undefined) return result;
  return { ...result, error: `instance ${quote(from.manifest?.instanceUid ?? '')}: ${result.error}` };
}

function isUnderWay({ state }: KnobResult): boolean {
  return state === 'applying' || state === 'draining';
}

function isAlike(a: KnobSpec, b: KnobSpec): boolean {
  return a.id === b.id && JSON.stringify(a) === JSON.stringify(b);
}

function isSame(a: HeldKnob, b: HeldKnob): boolean {
  return a.value === b.value && a.epoch === b.epoch && a.revision === b.revision && a.manual === b.manual;
}

function moreCautious(a: Tier, b: Tier): Tier {
  return TIERS.indexOf(a) < TIERS.indexOf(b) ? a : b;
}
