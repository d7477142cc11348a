import type { ActuatorState } from '../actuator.ts';
import type { Setting } from '../model.ts';
import { Distribution } from '../series/distribution.ts';
import type { Increment } from '../series/store.ts';
import type { SignalRole } from '../signals.ts';
import { sameSetting } from './setting.ts';
import { type Measurement, MeasurementWindow, type WindowRule } from './window.ts';

export type Reading =
  | { readonly state: 'complete'; readonly measurement: Measurement; readonly setting: Setting }
  | { readonly state: 'thin' }
  | { readonly state: 'silent' };

/**
 * Takes one window after another, each at a given setting: waits until the setting is in force, lets it settle, then
 * collects. A window at the setting of the one before starts where that one ended, so that no telemetry is wasted.
 */
export class Meter {
  readonly #rule: WindowRule;
  readonly #latencies = new Distribution();
  #target: Setting | undefined;
  #settleMs = 0;
  #continuesFromMs: number | undefined;
  #window: MeasurementWindow | undefined;
  #last: { readonly target: Setting; readonly endMs: number } | undefined;
  #exportIntervalMs = 0;

  constructor(rule: WindowRule) {
    this.#rule = rule;
  }

  observe(role: SignalRole, increment: Increment): void {
    if (role.signal !== 'reward' && (increment.kind === 'histogram' || increment.kind === 'sum')) {
      this.#exportIntervalMs = Math.min(increment.endMs - increment.startMs, this.#rule.maxMs);
    }
    this.#window?.observe(role, increment);
  }

  /** `changed`: values are being sent to reach the target, and need `settleMs` once they are in force. */
  begin(target: Setting, changed: boolean, settleMs: number): void {
    const continues = !changed && this.#last !== undefined && sameSetting(this.#last.target, target);
    this.#continuesFromMs = continues ? this.#last?.endMs : undefined;
    this.#target = target;
    this.#settleMs = changed ? settleMs : 0;
    this.#window = undefined;
  }

  /** A window at what is in force anyway, from now on; nothing is being sent. */
  watch(target: Setting, nowMs: number): void {
    this.#target = target;
    this.#window = new MeasurementWindow(this.#rule, nowMs, this.#latencies);
  }

  get isMeasuring(): boolean {
    return this.#target !== undefined;
  }

  /** Forgets the window under way; the next one starts afresh. */
  cancel(): void {
    this.#target = undefined;
    this.#window = undefined;
    this.#last = undefined;
  }

  /** A better source of the same signal has appeared: what was collected would be counted twice. */
  restart(nowMs: number): void {
    if (this.#window !== undefined) this.#window = new MeasurementWindow(this.#rule, nowMs, this.#latencies);
    this.#last = undefined;
  }

  /** Requests of the window under way, for triggers that cannot wait for its end. */
  counts(): { readonly requests: number; readonly errors: number } | undefined {
    return this.#window;
  }

  /** What the window under way would show if it ended now. */
  partial(): Measurement | undefined {
    return this.#window?.measurement();
  }

  collect(nowMs: number, actuator: ActuatorState): Reading | undefined {
    if (this.#target === undefined || actuator.state !== 'settled') return undefined;
    this.#window ??= new MeasurementWindow(
      this.#rule,
      this.#continuesFromMs ?? actuator.sinceMs + this.#settleMs,
      this.#latencies,
    );
    const state = this.#window.state(nowMs, this.#exportIntervalMs);
    if (state === 'open') return undefined;
    if (state !== 'complete') {
      this.cancel();
      return { state };
    }
    const measurement = this.#window.measurement();
    const setting = this.#target;
    this.#last = { target: setting, endMs: measurement.endMs };
    this.#window = undefined;
    this.#target = undefined;
    return { state, measurement, setting };
  }
}
