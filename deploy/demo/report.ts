import type { Effectiveness, KnobValue, Setting } from '../../agent/core/model.ts';
import type { TrialRow } from './trials.ts';
import type { Arm, Comparison } from './verify.ts';

/** Says what happens as it happens: lines that stay, and on a terminal one that is written over. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #startMs = performance.now();
  #lastLiveMs = 0;
  #liveShown = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  say(line: string): void {
    this.#clear();
    this.#out.write(`${this.#clock()}  ${line}\n`);
  }

  /** A figure of the moment: every second on a terminal, every fifteenth in a log. */
  live(line: string): void {
    if (this.#out.isTTY) {
      this.#clear();
      this.#out.write(`${this.#clock()}  ${line}`.slice(0, this.#out.columns - 1));
      this.#liveShown = true;
    } else if (performance.now() - this.#lastLiveMs >= 15_000) {
      this.#lastLiveMs = performance.now();
      this.say(line);
    }
  }

  #clear(): void {
    if (this.#liveShown) this.#out.write('\r\x1b[2K');
    this.#liveShown = false;
  }

  #clock(): string {
    const seconds = Math.floor((performance.now() - this.#startMs) / 1_000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
}

/** Columns as wide as their widest cell, the first to the left and the others as `right` says. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly boolean[],
): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

export function trialTable(trials: readonly TrialRow[]): string {
  const rows = trials.map((trial, index) => [
    String(index + 1),
    trial.changes.map(({ knob, from, to }) => `${knob} ${from} → ${to}`).join(', ') ||
      '(ended before it had a candidate)',
    trial.effect === undefined ? firstClause(trial.reason) : effectText(trial.effect),
    trial.outcome === 'restored' && trial.ending !== undefined ? `restored (${trial.ending})` : trial.outcome,
    trial.endedMs === undefined ? '' : `${Math.round((trial.endedMs - trial.startedMs) / 1_000)} s`,
  ]);
  return table(['#', 'change', 'effect on the objective, or why none was measured', 'outcome', 'took'], rows, [
    true,
    false,
    false,
    false,
    true,
  ]);
}

/** What the agent's sentence says of the cause; what was restored stands in its own column. */
function firstClause(reason: string): string {
  return reason.split(';')[0]!;
}

export function armTable({ baseline, tuned }: Comparison): string {
  const row = (title: string, figure: (arm: Arm) => number, unit: string): string[] => {
    const [before, after] = [figure(baseline), figure(tuned)];
    const change = before === after ? '' : before === 0 ? 'new' : percent(after / before - 1);
    return [title, `${before.toFixed(unit === '' ? 0 : 2)}`, `${after.toFixed(unit === '' ? 0 : 2)}`, unit, change];
  };
  return table(
    ['', 'default', 'tuned', '', 'change'],
    [
      row('p50 latency', (arm) => arm.p50Ms, 'ms'),
      row('p95 latency', (arm) => arm.p95Ms, 'ms'),
      row('p99 latency', (arm) => arm.p99Ms, 'ms'),
      row('mean latency', (arm) => arm.meanMs, 'ms'),
      row('throughput', (arm) => arm.throughputPerSecond, 'requests/s'),
      row('requests', (arm) => arm.count, ''),
      row('errors', (arm) => arm.errors, ''),
    ],
    [false, true, true, false, true],
  );
}

export function effectText({ estimate, low, high, confidence, blocks }: Effectiveness): string {
  return `${percent(estimate)}  (${percent(low)} to ${percent(high)} at ${Math.round(confidence * 1000) / 10} %, ${blocks} blocks)`;
}

export function settingText(setting: Setting): string {
  return Object.entries(setting)
    .map(([knob, value]: [string, KnobValue]) => `${knob} ${value}`)
    .join(', ');
}

export function percent(ratio: number): string {
  return `${ratio < 0 ? '−' : '+'}${Math.abs(ratio * 100).toFixed(1)} %`;
}
