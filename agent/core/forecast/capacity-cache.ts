import type { CapacityReport } from './capacity.ts';

/** A forecast takes milliseconds and changes by the hour. */
const FRESH_MS = 300_000;

/** Capacity reports of at most five minutes ago, for those who look more often. One a component. */
export class CapacityCache {
  readonly #ask: (component: string) => CapacityReport | undefined;
  readonly #known = new Map<string, { readonly atMs: number; readonly report: CapacityReport | undefined }>();

  constructor(ask: (component: string) => CapacityReport | undefined) {
    this.#ask = ask;
  }

  of(component: string, nowMs: number): CapacityReport | undefined {
    const known = this.#known.get(component);
    if (known !== undefined && Math.abs(nowMs - known.atMs) < FRESH_MS) return known.report;
    const report = this.#ask(component);
    this.#known.set(component, { atMs: nowMs, report });
    return report;
  }
}
