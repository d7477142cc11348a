import type { Decision, Setting } from '../../../agent/core/model.ts';
import type { Watcher } from '../world.ts';

export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly detail: string;
}

/** A checker watches a world and collects what broke its rule; a run may break it many times, the first hundred are kept. */
export interface Checker extends Watcher {
  readonly violations: readonly Violation[];
}

const MAX_KEPT = 100;

export abstract class Rule implements Checker {
  readonly violations: Violation[] = [];
  abstract readonly rule: string;

  protected report(atMs: number, detail: string): void {
    if (this.violations.length < MAX_KEPT) this.violations.push({ rule: this.rule, atMs, detail });
  }
}

export function endsTrial(kind: Decision['kind']): boolean {
  return (
    kind === 'promoted' ||
    kind === 'rolled_back' ||
    kind === 'futile' ||
    kind === 'restored' ||
    kind === 'shadow_rejected'
  );
}

/** Where two settings differ, in words; undefined where they do not. A process that is down holds nothing. */
export function differenceOf(believed: Setting, actual: Setting | undefined): string | undefined {
  if (actual === undefined) return 'the process is down';
  for (const [knob, value] of Object.entries(believed)) {
    if (!Object.is(value, actual[knob])) return `${knob} is believed ${value} and is ${actual[knob]}`;
  }
  return undefined;
}
