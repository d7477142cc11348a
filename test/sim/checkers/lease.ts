import type { Decision, KnobValue, Setting } from '../../../agent/core/model.ts';
import type { EngineSettings } from '../../../agent/core/settings.ts';
import { baselineSetting } from '../knob_space.ts';
import { knobSpecs, type Scenario } from '../scenario.ts';
import { Rule } from './rule.ts';

/** A value that was never proven leaves the process in time: when its agent is gone, with its lease. */
export class LeaseChecker extends Rule {
  readonly rule = 'no unproven value outlives its lease';
  readonly #unprovenMs: number;
  readonly #ttlMs: number;
  readonly #proven = new Map<string, Set<KnobValue>>();
  readonly #since = new Map<string, { value: KnobValue; atMs: number }>();
  #leasedMs = 0;

  constructor(scenario: Scenario, settings: EngineSettings, unprovenMs: number) {
    super();
    this.#unprovenMs = unprovenMs;
    this.#ttlMs = settings.lease.ttlMs + settings.lease.applyDeadlineMs + scenario.faults.client.applyMs[1];
    for (const [knob, value] of Object.entries(baselineSetting(knobSpecs(scenario))))
      this.#proven.set(knob, new Set([value]));
  }

  decided(_atMs: number, { kind, trialId, changes }: Decision): void {
    // What a human sets needs no proof.
    const isChosen = kind === 'pinned' || kind === 'chosen' || (kind === 'rolled_back' && trialId === undefined);
    if (kind !== 'promoted' && !isChosen) return;
    for (const { knob, to } of changes) this.#proven.get(knob)?.add(to);
  }

  leased(atMs: number): void {
    this.#leasedMs = atMs;
  }

  setting(atMs: number, setting: Setting): void {
    for (const [knob, value] of Object.entries(setting)) {
      const before = this.#since.get(knob);
      if (before !== undefined && Object.is(before.value, value)) continue;
      if (before !== undefined) this.#check(atMs, knob, before);
      this.#since.set(knob, { value, atMs });
    }
  }

  ticked(atMs: number): void {
    for (const [knob, held] of this.#since) {
      if (this.#check(atMs, knob, held)) this.#since.set(knob, { value: held.value, atMs });
    }
  }

  finished(atMs: number): void {
    for (const [knob, held] of this.#since) this.#check(atMs, knob, held);
  }

  #check(atMs: number, knob: string, held: { value: KnobValue; atMs: number }): boolean {
    if (this.#proven.get(knob)?.has(held.value)) return false;
    const unleasedMs = atMs - Math.max(this.#leasedMs, held.atMs);
    if (unleasedMs > this.#ttlMs) {
      this.report(
        atMs,
        `${knob} = ${held.value}, unproven, ${unleasedMs} ms after its last lease of ${this.#ttlMs} ms`,
      );
      return true;
    }
    if (atMs - held.atMs > this.#unprovenMs) {
      this.report(atMs, `${knob} = ${held.value}, unproven, in force since ${held.atMs} ms`);
      return true;
    }
    return false;
  }
}
