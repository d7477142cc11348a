/** A client's holdings in virtual time, with everything that it reports. */
import type { Clock } from '../../agent/client/typescript/clock.ts';
import { type ClientCommand, Holdings, type Report } from '../../agent/client/typescript/holdings.ts';
import type { KnobRecord } from '../../agent/client/typescript/knob.ts';
import type { KnobResult, KnobSpec, KnobValue } from '../../agent/core/model.ts';

export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.atMs - b.atMs).find(({ atMs }) => atMs <= untilMs);
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = untilMs;
  }
}

export function intSpec(id: string, fields: Partial<KnobSpec & { type: 'int' }> = {}): KnobSpec {
  return {
    id,
    description: '',
    unit: '1',
    role: 'batch',
    applyClass: 'hot',
    settleMs: 0,
    ceilingAtBoot: false,
    type: 'int',
    min: 1,
    max: 100,
    scale: 'linear',
    baseline: 8,
    ...fields,
  };
}

export function clientCommand(
  revision: number,
  changes: ClientCommand['changes'],
  fields: Partial<ClientCommand> = {},
): ClientCommand {
  const { epoch = 1 } = fields;
  return {
    commandId: `c/${epoch}/${revision}`,
    epoch,
    revision,
    changes,
    atomicity: 'per_knob',
    validateOnly: false,
    leaseTtlMs: 1_000,
    onExpiry: 'baseline',
    applyDeadlineMs: 500,
    rationale: { strategy: 'test', reason: 'test' },
    ...fields,
  };
}

export type ResultReport = Report & { kind: 'result' };

export class ClientRig {
  readonly clock = new VirtualClock();
  readonly reports: Report[] = [];
  readonly holdings = new Holdings(this.clock, (report) => this.reports.push(report));

  declare(spec: KnobSpec, readBack?: () => KnobValue): KnobRecord {
    return this.holdings.declare(spec, readBack);
  }

  /** Sends a command and lets everything that can happen without time passing happen. */
  async obey(command: ClientCommand, nonce = 'n'): Promise<void> {
    this.holdings.obey(command, nonce);
    await settle();
  }

  get results(): readonly ResultReport[] {
    return this.reports.filter((report) => report.kind === 'result');
  }

  /** What was said last of a command. */
  answerTo(commandId: string): readonly KnobResult[] | undefined {
    return this.results.findLast((report) => report.commandId === commandId)?.results;
  }
}

/** Long enough for every chain of promises, as the event loop turns only when none has anything left to do. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
