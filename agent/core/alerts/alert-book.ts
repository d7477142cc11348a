import { type Condition, rank } from './condition.ts';

export interface AlertSettings {
  /** A condition must have held for this long. */
  readonly holdMs: number;
  /** It is over when it has not been there for this long. */
  readonly resolveMs: number;
  /** Said again after this time while it lasts; absent: once. */
  readonly repeatMs?: number;
  /** Notices within an hour, of all kinds; those beyond come later, when they still hold. */
  readonly maxPerHour: number;
}

/** Something that is wrong, from when it was first seen until it is over. */
export interface Alert extends Condition {
  readonly id: string;
  readonly sinceMs: number;
  readonly seenMs: number;
  /** When somebody was last told; absent while nobody was. */
  readonly toldMs?: number;
}

/** What somebody is to be told. */
export interface Notice {
  readonly status: 'opened' | 'escalated' | 'reminder' | 'resolved';
  readonly alert: Alert;
  readonly atMs: number;
}

const HOUR_MS = 3_600_000;
const MOST_ALERTS = 500;

/**
 * Turns what is true at moments into alerts: opened once a condition has held, resolved once it has been away, never flapping
 * in between, and never more notices an hour than one wants to read.
 *
 * An alert that the rate kept back is told as soon as there is room, if it still holds; when nobody was told of it, nobody is told
 * that it is over. A clock that steps back prolongs what is open, and loses nothing.
 */
export class AlertBook {
  readonly #settings: AlertSettings;
  readonly #prefix: string;
  #alerts: readonly Alert[] = [];
  #noticesMs: readonly number[] = [];
  #ids = 0;
  readonly #counts = { opened: 0, resolved: 0, delayed: 0, dropped: 0 };

  /** `prefix` keeps ids of different runs apart. */
  constructor(settings: AlertSettings, prefix: string) {
    this.#settings = settings;
    this.#prefix = prefix;
  }

  /** Everything that holds at this moment. */
  look(nowMs: number, conditions: readonly Condition[]): readonly Notice[] {
    const now = new Map(conditions.map((condition) => [condition.key, condition]));
    const notices: Notice[] = [];
    const kept: Alert[] = [];
    for (const alert of this.#alerts) {
      const condition = now.get(alert.key);
      now.delete(alert.key);
      const next = condition === undefined ? alert : seenAgain(alert, condition, nowMs);
      const isGone =
        nowMs - next.seenMs > (alert.toldMs === undefined ? this.#settings.holdMs : this.#settings.resolveMs);
      if (isGone) {
        if (alert.toldMs !== undefined) notices.push(this.#tell('resolved', alert, nowMs));
        continue;
      }
      kept.push(this.#advance(alert, next, nowMs, notices));
    }
    for (const condition of now.values()) kept.push(this.#begin(condition, nowMs, notices));
    const surplus = Math.max(0, kept.length - MOST_ALERTS);
    this.#counts.dropped += surplus;
    this.#alerts = kept.slice(surplus);
    return notices;
  }

  /** Those that somebody was told of. */
  get open(): readonly Alert[] {
    return this.#alerts.filter(({ toldMs }) => toldMs !== undefined);
  }

  get counts(): Readonly<{ opened: number; resolved: number; delayed: number; dropped: number }> {
    return { ...this.#counts };
  }

  #begin(condition: Condition, nowMs: number, notices: Notice[]): Alert {
    const alert: Alert = { ...condition, id: `${this.#prefix}-${++this.#ids}`, sinceMs: nowMs, seenMs: nowMs };
    return this.#advance(alert, alert, nowMs, notices);
  }

  #advance(before: Alert, alert: Alert, nowMs: number, notices: Notice[]): Alert {
    const { holdMs, repeatMs = Number.POSITIVE_INFINITY } = this.#settings;
    const { toldMs } = before;
    const isThere = alert.seenMs === nowMs;
    if (!isThere) return alert;
    const status =
      toldMs === undefined
        ? nowMs - alert.sinceMs >= holdMs && 'opened'
        : rank(alert.severity) > rank(before.severity)
          ? 'escalated'
          : nowMs - toldMs >= repeatMs && 'reminder';
    if (status === false) return alert;
    if (!this.#hasRoom(nowMs)) {
      this.#counts.delayed++;
      // It stays as bad as it was said to be, so that the rest is said later.
      return toldMs === undefined ? alert : { ...alert, severity: before.severity };
    }
    const told = { ...alert, toldMs: nowMs };
    notices.push(this.#tell(status, told, nowMs));
    return told;
  }

  #tell(status: Notice['status'], alert: Alert, atMs: number): Notice {
    if (status === 'opened') this.#counts.opened++;
    if (status === 'resolved') this.#counts.resolved++;
    // Good news is free: it comes once for each bad one.
    else this.#noticesMs = [...this.#noticesMs, atMs];
    return { status, alert, atMs };
  }

  #hasRoom(nowMs: number): boolean {
    this.#noticesMs = this.#noticesMs.filter((atMs) => atMs > nowMs - HOUR_MS && atMs <= nowMs);
    return this.#noticesMs.length < this.#settings.maxPerHour;
  }
}

/** An alert is as bad as it has been: one that gets better and worse again is told once. */
function seenAgain(alert: Alert, condition: Condition, nowMs: number): Alert {
  const severity = rank(condition.severity) > rank(alert.severity) ? condition.severity : alert.severity;
  return { ...alert, ...condition, severity, seenMs: nowMs };
}
