import type { Clock } from '../client/typescript/clock.ts';
import { Holdings, type Report } from '../client/typescript/holdings.ts';
import type { KnobRecord } from '../client/typescript/knob.ts';
import type { Effect, Input, Manifest } from '../core/model.ts';
import { whyNotAllowed } from '../rpc/knob_domain.ts';
import type { AIComponent } from './component.ts';
import { type ComponentKnob, knobsOf, readBack, sparingHands } from './component-knobs.ts';

type Order = Extract<Effect, { readonly kind: 'command' | 'renewal' | 'revoke' }>;

export interface LocalSessionOptions {
  readonly component: AIComponent;
  readonly epoch: number;
  readonly clock: Clock;
  readonly incarnation: number;
  readonly post: (input: Input) => void;
}

/**
 * A component of this process under the engine of this process. The same contract as over gRPC, with the client's own
 * holdings: fencing, leases, exact restoration; only that what is set is the component object, and no message is sent.
 */
export class LocalSession {
  readonly component: AIComponent;
  readonly knobs: readonly ComponentKnob[];
  readonly #records = new Map<ComponentKnob, KnobRecord>();
  readonly #holdings: Holdings;
  readonly #options: LocalSessionOptions;

  constructor(options: LocalSessionOptions) {
    const { component, epoch, clock } = options;
    this.#options = options;
    this.component = component;
    this.knobs = knobsOf(component);
    this.#holdings = new Holdings(clock, (report) => this.#tell(report));
    for (const knob of this.knobs) {
      const record = this.#holdings.declare(knob.spec, () => readBack(knob));
      record.listeners.add((value) => knob.write(value));
      this.#records.set(knob, record);
    }
    this.#holdings.welcome(epoch);
  }

  open(): void {
    const { component, incarnation, post } = this.#options;
    const manifest: Manifest = {
      component: component.name,
      tier: component.tier,
      instanceUid: `${process.pid}`,
      incarnation,
      resource: { 'service.name': component.name, 'process.pid': String(process.pid) },
      pid: process.pid,
      knobs: this.#holdings.specs,
      held: this.#holdings.held,
    };
    post({ kind: 'session', event: 'opened', manifest });
  }

  /** At least one knob holds a value that a command has set. */
  get isTuned(): boolean {
    return [...this.#records.values()].some(({ origin }) => origin !== undefined);
  }

  perform(order: Order): void {
    switch (order.kind) {
      case 'command':
        this.#holdings.obey(order.command, '');
        return;
      case 'renewal':
        this.#holdings.renew(order.epoch, order.revision, order.leaseTtlMs);
        return;
      case 'revoke':
        this.#holdings.revoke(order.epoch, order.revision, order.knobs, order.reason);
        return;
    }
  }

  /**
   * Looks for values that somebody else has set on the component: they are a human's, and stay. False: one of them is none
   * that its knob can have, so the knobs have to be declared anew.
   */
  watch(): boolean {
    for (const [knob, record] of this.#records) {
      const value = readBack(knob);
      if (Object.is(value, record.value)) continue;
      if (whyNotAllowed(knob.spec, value) !== undefined) return false;
      this.#holdings.override(record, value);
    }
    return true;
  }

  /** Everything that was tuned is put back; values set by hand stay. */
  close(reason: string): void {
    sparingHands(this.#records, () => this.#holdings.release());
    this.#options.post({ kind: 'session', event: 'closed', component: this.component.name, reason });
  }

  #tell(report: Report): void {
    const { component, post } = this.#options;
    if (report.kind === 'override') {
      post({ kind: 'override', component: component.name, knob: report.knob, value: report.value });
      return;
    }
    // Within one process no word gets lost.
    if (report.kind === 'holding') return;
    const { commandId, results } = report;
    post({ kind: 'result', component: component.name, commandId, results });
  }
}
