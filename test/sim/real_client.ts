import { Holdings } from '../../agent/client/typescript/holdings.ts';
import { type KnobRecord, TransientRejection } from '../../agent/client/typescript/knob.ts';
import type { Command, KnobResult, KnobSpec, KnobValue, Manifest, Setting } from '../../agent/core/model.ts';
import type { ClientFactory, ClientIdentity, ClientMessage, SimClient } from './client.ts';
import { valueAt } from './knob_space.ts';
import type { Random } from './random.ts';
import type { Faults } from './scenario.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * The client library that ships (its half of the control contract, `Holdings`), on a virtual clock. The faults live where they
 * would in a host program: a listener that throws, takes its time, or applies something else; an answer that is not sent.
 */
class RealClient implements SimClient {
  readonly #identity: ClientIdentity;
  readonly #holdings: Holdings;
  readonly #records: readonly KnobRecord[];
  readonly #faults: Faults['client'];
  readonly #random: Random;
  readonly #refusedForGood = new Set<string>();
  /** What runs where the host program applied something else than it was told. */
  readonly #misapplied = new Map<string, { readonly told: KnobValue; readonly actual: KnobValue }>();
  #timers: Timer[] = [];
  #order = 0;
  #nowMs = 0;
  #messages: ClientMessage[] = [];
  #isBusy = false;
  #setting: Setting = {};

  constructor(identity: ClientIdentity, specs: readonly KnobSpec[], faults: Faults['client'], random: Random) {
    this.#identity = identity;
    this.#faults = faults;
    this.#random = random;
    const clock = { nowMs: () => this.#nowMs, after: (delayMs: number, run: () => void) => this.#after(delayMs, run) };
    this.#holdings = new Holdings(clock, (report) => {
      if (report.kind !== 'result') this.#messages.push(report);
      else if (!random.chance(isExpiry(report.results) ? faults.untoldExpiry : faults.silent)) {
        this.#messages.push({ kind: 'result', commandId: report.commandId, results: report.results });
      }
    });
    this.#records = specs.map((spec) => {
      const record = this.#holdings.declare(spec, () => this.#actual(record));
      record.listeners.add((value) => this.#listen(spec, value));
      return record;
    });
  }

  get setting(): Setting {
    const now = Object.fromEntries(this.#records.map((record) => [record.spec.id, this.#actual(record)]));
    const changed = Object.keys(now).some((id) => !Object.is(now[id], this.#setting[id]));
    if (changed) this.#setting = now;
    return this.#setting;
  }

  get manifest(): Manifest {
    const { component, tier, instanceUid, incarnation } = this.#identity;
    const resource = { 'service.name': component, 'service.instance.id': instanceUid };
    const { specs: knobs, held } = this.#holdings;
    return { component, tier, instanceUid, incarnation, resource, knobs, held };
  }

  get nextMs(): number {
    return this.#timers.reduce((next, timer) => Math.min(next, timer.atMs), Number.POSITIVE_INFINITY);
  }

  advance(nowMs: number): void {
    while (true) {
      const due = this.#timers
        .filter((timer) => timer.atMs <= nowMs)
        .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      this.#isBusy = true;
      due.run();
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  takeMessages(): readonly ClientMessage[] {
    const taken = this.#messages;
    if (taken.length > 0) this.#messages = [];
    return taken;
  }

  takeBusy(): boolean {
    const wasBusy = this.#isBusy;
    this.#isBusy = false;
    return wasBusy;
  }

  onWelcome(epoch: number, nowMs: number): void {
    this.advance(nowMs);
    this.#holdings.welcome(epoch);
  }

  onParted(nowMs: number): void {
    this.advance(nowMs);
    this.#holdings.part();
  }

  onCommand({ component: _, ...command }: Command, nowMs: number): void {
    this.advance(nowMs);
    this.#isBusy = true;
    this.#holdings.obey(command, '');
  }

  onRenewal(epoch: number, revision: number, ttlMs: number, nowMs: number): void {
    this.advance(nowMs);
    this.#holdings.renew(epoch, revision, ttlMs);
  }

  onRevoke(epoch: number, revision: number, knobs: readonly string[], nowMs: number): void {
    this.advance(nowMs);
    this.#isBusy = true;
    this.#holdings.revoke(epoch, revision, knobs, 'revoked');
  }

  #after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** A host program's `onChange`: refuses, or applies after a while, or applies something else. */
  #listen(spec: KnobSpec, value: KnobValue): void | Promise<void> {
    const { id, baseline } = spec;
    if (value === baseline) {
      this.#misapplied.delete(id);
      return;
    }
    const key = `${id}=${value}`;
    if (this.#random.chance(this.#faults.rejectPermanent)) this.#refusedForGood.add(key);
    if (this.#refusedForGood.has(key)) throw new Error('the process will not have it');
    if (this.#random.chance(this.#faults.rejectTransient)) throw new TransientRejection('busy');
    const apply = () => {
      this.#misapplied.delete(id);
      if (!this.#random.chance(this.#faults.misapply)) return;
      this.#misapplied.set(id, { told: value, actual: valueAt(spec, this.#random.uniform()) });
    };
    const [low, high] = this.#faults.applyMs;
    const delayMs = this.#random.between(low, high);
    if (delayMs <= 0) return apply();
    return new Promise((resolve) => {
      this.#after(delayMs, () => {
        apply();
        resolve();
      });
    });
  }

  #actual(record: KnobRecord): KnobValue {
    const misapplied = this.#misapplied.get(record.spec.id);
    return misapplied?.told === record.value ? misapplied.actual : record.value;
  }
}

function isExpiry(results: readonly KnobResult[]): boolean {
  return results.every(({ state }) => state === 'expired');
}

export const realClient: ClientFactory = (identity, specs, faults, random) =>
  new RealClient(identity, specs, faults, random);
