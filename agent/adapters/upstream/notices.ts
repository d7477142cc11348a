import type { Logger } from 'pino';
import { totalDropped, type UpstreamCounters } from './counters.ts';
import type { ExpiredOutcome } from './delivery.ts';
import type { Outcome } from './outcome.ts';
import type { TelemetrySignal } from './raw_sink.ts';

/** At most one line a kind in this time: an upstream that is away for a night is two lines, not two thousand. */
const QUIET_MS = 60_000;

/** Says in the log when things begin to fail and when they work again, and sums up what was dropped. */
export class Notices {
  readonly #log: Logger;
  readonly #endpoint: string;
  readonly #counters: UpstreamCounters;
  readonly #nowMs: () => number;
  readonly #failing = new Set<TelemetrySignal>();
  readonly #saidMs = new Map<string, number>();
  #diskProblem: string | undefined;

  constructor(log: Logger, endpoint: string, counters: UpstreamCounters, nowMs: () => number) {
    this.#log = log;
    this.#endpoint = endpoint;
    this.#counters = counters;
    this.#nowMs = nowMs;
  }

  /** Why the disk does not take requests, where it does not. */
  get diskProblem(): string | undefined {
    return this.#diskProblem;
  }

  outcome(signal: TelemetrySignal, outcome: Outcome | ExpiredOutcome): void {
    const details = { signal, endpoint: this.#endpoint };
    switch (outcome.state) {
      case 'again':
        if (this.#failing.has(signal)) return;
        this.#failing.add(signal);
        this.#log.warn(
          { ...details, reason: outcome.why },
          'the upstream does not take telemetry; it waits in the queue',
        );
        return;
      case 'delivered':
        if (this.#failing.delete(signal)) this.#log.info(details, 'the upstream takes telemetry again');
        if (outcome.rejected > 0) {
          const { rejected, message } = outcome;
          this.#seldom(`${signal} rejected`, { ...details, rejected, reason: message }, 'the upstream rejected a part');
        }
        return;
      case 'refused':
        this.#seldom(
          `${signal} ${outcome.reason}`,
          { ...details, reason: outcome.why },
          'the upstream refuses a request for good: it was dropped',
        );
        return;
      case 'expired':
        this.#dropped(signal, 'expired');
    }
  }

  queueFull(signal: TelemetrySignal): void {
    this.#dropped(signal, 'queue_full');
  }

  loop(signal: TelemetrySignal): void {
    this.#seldom(
      'loop',
      { signal, endpoint: this.#endpoint },
      'a request came back to the agent that sent it on: dropped',
    );
  }

  disk(problem: string | undefined): void {
    if (problem === this.#diskProblem) return;
    if (problem === undefined) this.#log.info('the upstream queue is on the disk again');
    else if (this.#diskProblem === undefined) {
      this.#log.error(
        { reason: problem },
        'the upstream queue cannot be written: telemetry is kept in memory and would not survive a crash',
      );
    }
    this.#diskProblem = problem;
  }

  #dropped(signal: TelemetrySignal, reason: string): void {
    const droppedTotal = totalDropped(this.#counters);
    this.#seldom(reason, { signal, endpoint: this.#endpoint, reason, droppedTotal }, 'queued telemetry was dropped');
  }

  #seldom(kind: string, details: object, message: string): void {
    const nowMs = this.#nowMs();
    const saidMs = this.#saidMs.get(kind);
    if (saidMs !== undefined && nowMs - saidMs < QUIET_MS) return;
    this.#saidMs.set(kind, nowMs);
    this.#log.warn(details, message);
  }
}
