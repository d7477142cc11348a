/**
 * The session of a component without a client of ours: it stands between the engine, which speaks of commands and leases,
 * and applications that only read flags. It is open while a subscriber that names the component is connected.
 *
 * "Applied" means here: handed over to every such subscriber. That the application has read the value, or does anything
 * with it, only its own telemetry can show; the engine measures that, and nothing else, before it keeps a value.
 */
import type { Command, KnobChange, KnobResult, KnobSpec, KnobValue } from '../../core/model.ts';
import { whyNotTunable } from '../../rpc/knob_domain.ts';
import type { Flag, FlaggedComponent, FlagsPorts } from './ports.ts';

interface Tuned {
  readonly value: KnobValue;
  readonly command: Command;
  readonly untilMs: number;
}

interface Delivery {
  readonly command: Command;
  readonly results: readonly KnobResult[];
  readonly before: ReadonlyMap<string, Tuned>;
  readonly callOff: () => void;
}

export class FlaggedSession {
  readonly #declared: FlaggedComponent;
  readonly #ports: FlagsPorts;
  readonly #publish: () => void;
  readonly #isDelivered: () => boolean;
  readonly #startedMs: number;
  #tuned = new Map<string, Tuned>();
  #isOpen = false;
  #delivery: Delivery | undefined;
  #callOffExpiry = (): void => {};

  constructor(declared: FlaggedComponent, ports: FlagsPorts, publish: () => void, isDelivered: () => boolean) {
    this.#declared = declared;
    this.#ports = ports;
    this.#publish = publish;
    this.#isDelivered = isDelivered;
    this.#startedMs = Math.round(ports.nowMs());
  }

  get flags(): readonly Flag[] {
    const { component, knobs } = this.#declared;
    return knobs.map((spec): Flag => {
      const tuned = this.#tuned.get(spec.id);
      if (tuned === undefined) return { component, spec };
      const { value, command, untilMs } = tuned;
      return { component, spec, tuned: { value, revision: command.revision, untilMs } };
    });
  }

  /** How many subscribers count as the component's process. */
  subscribed(count: number): void {
    const { component, tier, knobs } = this.#declared;
    if (count > 0 && !this.#isOpen) {
      this.#isOpen = true;
      const instanceUid = `flags of ${component}`;
      const resource = { 'service.name': component };
      const manifest = { component, tier, instanceUid, incarnation: this.#startedMs, resource, knobs, held: [] };
      this.#ports.inbox({ kind: 'session', event: 'opened', manifest });
    } else if (count === 0 && this.#isOpen) {
      this.#isOpen = false;
      this.#delivery?.callOff();
      this.#delivery = undefined;
      this.#tuned.clear();
      this.#watch();
      const reason = 'no application that names it subscribes to its flags any more';
      this.#ports.inbox({ kind: 'session', event: 'closed', component, reason });
    }
  }

  command(command: Command): void {
    if (this.#delivery?.command.commandId === command.commandId) return;
    this.#supersede(command);
    const all = command.changes.map((change) => this.#judge(command, change));
    const isRefused = all.some(({ state }) => state !== 'applied');
    if (command.validateOnly || all.every(({ state }) => state !== 'applied')) {
      this.#answer(command, all);
      return;
    }
    if (command.atomicity === 'all' && isRefused) {
      const error = 'another change of the same command was refused, and it is all or none';
      this.#answer(
        command,
        all.map((result) =>
          result.state === 'applied' ? this.#result(command, result.knob, 'rolled_back', error) : result,
        ),
      );
      return;
    }
    const before = new Map(this.#tuned);
    const untilMs = this.#ports.nowMs() + command.leaseTtlMs;
    for (const { knob, value } of command.changes)
      if (all.some((result) => result.knob === knob && result.state === 'applied'))
        this.#tuned.set(knob, { value, command, untilMs });
    this.#watch();
    const callOff = this.#ports.after(command.applyDeadlineMs, () => this.#undelivered());
    this.#delivery = { command, results: all, before, callOff };
    this.#publish();
    this.delivered();
  }

  /** Something was handed over to a subscriber. */
  delivered(): void {
    const delivery = this.#delivery;
    if (delivery === undefined || !this.#isDelivered()) return;
    this.#delivery = undefined;
    delivery.callOff();
    const { command, results } = delivery;
    this.#answer(
      command,
      results.map((result) => (result.state === 'applied' ? this.#result(command, result.knob, 'applied') : result)),
    );
  }

  renew(revision: number, leaseTtlMs: number): void {
    const untilMs = this.#ports.nowMs() + leaseTtlMs;
    for (const [knob, tuned] of this.#tuned)
      if (tuned.command.revision <= revision) this.#tuned.set(knob, { ...tuned, untilMs });
    this.#watch();
    this.#publish();
  }

  revoke(revision: number, knobs: readonly string[], reason: string): void {
    this.#takeBack(
      ([knob, { command }]) => knobs.includes(knob) && command.revision <= revision,
      'rolled_back',
      reason,
    );
  }

  #judge(command: Command, { knob, value, expectedCurrent }: KnobChange): KnobResult {
    const spec = this.#declared.knobs.find(({ id }) => id === knob);
    if (spec === undefined) return this.#result(command, knob, 'rejected_permanent', `there is no knob "${knob}"`);
    const problem = this.#whyNever(command, spec, value);
    if (problem !== undefined) return this.#result(command, knob, 'rejected_permanent', problem);
    const current = this.#tuned.get(knob)?.value ?? spec.baseline;
    if (expectedCurrent !== undefined && expectedCurrent !== current)
      return this.#result(command, knob, 'rejected_transient', `holds ${current}, not ${expectedCurrent} as expected`);
    return this.#result(command, knob, 'applied');
  }

  #whyNever({ onExpiry }: Command, spec: KnobSpec, value: KnobValue): string | undefined {
    if (spec.applyClass === 'restart') return 'only a restart can change this knob';
    if (onExpiry !== 'baseline') return 'a flag can only return to its baseline when a lease runs out';
    return whyNotTunable(spec, value);
  }

  /** The latest wins; what was on its way of an older one is not reported as delivered any more. */
  #supersede(command: Command): void {
    const delivery = this.#delivery;
    if (delivery === undefined) return;
    this.#delivery = undefined;
    delivery.callOff();
    const error = `superseded by ${command.commandId}`;
    this.#answer(
      delivery.command,
      delivery.results.map(({ knob }) => this.#result(delivery.command, knob, 'superseded', error)),
    );
  }

  #undelivered(): void {
    const delivery = this.#delivery;
    if (delivery === undefined) return;
    this.#delivery = undefined;
    this.#tuned = new Map(delivery.before);
    this.#watch();
    this.#publish();
    const error = 'a subscriber has not taken it by the deadline';
    this.#answer(
      delivery.command,
      delivery.results.map((result) =>
        result.state === 'applied' ? this.#result(delivery.command, result.knob, 'rejected_transient', error) : result,
      ),
    );
  }

  #takeBack(
    wants: (entry: readonly [string, Tuned]) => boolean,
    state: 'expired' | 'rolled_back',
    reason: string,
  ): void {
    const gone = [...this.#tuned].filter(wants);
    if (gone.length === 0) return;
    for (const [knob] of gone) this.#tuned.delete(knob);
    this.#watch();
    this.#publish();
    for (const command of new Set(gone.map(([, tuned]) => tuned.command))) {
      const own = gone.filter(([, tuned]) => tuned.command === command);
      this.#answer(
        command,
        own.map(([knob]) => this.#result(command, knob, state, reason)),
      );
    }
  }

  #watch(): void {
    this.#callOffExpiry();
    const next = Math.min(...[...this.#tuned.values()].map(({ untilMs }) => untilMs));
    if (next === Number.POSITIVE_INFINITY) return;
    this.#callOffExpiry = this.#ports.after(Math.max(0, next - this.#ports.nowMs()), () => {
      const nowMs = this.#ports.nowMs();
      this.#takeBack(([, { untilMs }]) => untilMs <= nowMs, 'expired', 'the lease ran out');
      this.#watch();
    });
  }

  #result(command: Command, knob: string, state: KnobResult['state'], error?: string): KnobResult {
    const tuned = this.#tuned.get(knob);
    const spec = this.#declared.knobs.find(({ id }) => id === knob);
    return {
      knob,
      state,
      effectiveValue: tuned?.value ?? spec?.baseline ?? '',
      attemptedRevision: command.revision,
      effectiveRevision: tuned?.command.revision ?? 0,
      ...(error !== undefined && { error }),
    };
  }

  #answer({ commandId }: Command, results: readonly KnobResult[]): void {
    const { component } = this.#declared;
    this.#ports.inbox({ kind: 'result', component, commandId, results });
  }
}
