import type { Health } from '../core/health.ts';
import { type Listener, Listeners } from './listeners.ts';

/** A component's health is of another status than before. */
export interface HealthChange {
  readonly component: string;
  readonly status: Health['status'];
  readonly before: Health['status'];
  /** In [0, 1]; absent while nothing is measured. */
  readonly score?: number;
  readonly at: number;
}

export interface HealthEvents extends Record<string, unknown> {
  health_changed: HealthChange;
}

/** Remembers how healthy each component is, and says when that changes. The optimizer it is given to tells it. */
export class HealthMonitor {
  readonly #healths = new Map<string, Health>();
  readonly #listeners = new Listeners<HealthEvents>();

  /** Of a component that nothing is known of: unknown. */
  getHealth(component: string): Health {
    return this.#healths.get(component) ?? { status: 'unknown' };
  }

  /** Takes in how healthy a component is; tells `health_changed` when its status is another than before. */
  update(component: string, health: Health, atMs: number): void {
    const before = this.getHealth(component).status;
    this.#healths.set(component, health);
    if (health.status === before) return;
    const score = health.status === 'unknown' ? {} : { score: health.score };
    this.#listeners.emit('health_changed', { component, status: health.status, before, ...score, at: atMs });
  }

  forget(component: string): void {
    this.#healths.delete(component);
  }

  on<T extends keyof HealthEvents>(type: T, listener: Listener<HealthEvents[T]>): this {
    this.#listeners.on(type, listener);
    return this;
  }

  off<T extends keyof HealthEvents>(type: T, listener: Listener<HealthEvents[T]>): this {
    this.#listeners.off(type, listener);
    return this;
  }
}
