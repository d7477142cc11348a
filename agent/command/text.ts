import type { KnobValue } from '../core/model.ts';

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

export function paint(hasColours: boolean): Paint {
  const wrap = (open: number, close: number) => (text: string) =>
    hasColours ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), good: wrap(32, 39), bad: wrap(31, 39) };
}

/** What came from elsewhere, on one line and unable to steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');
}

/** Columns as wide as their widest cell, two spaces apart. The first row is the heading. */
export function table(rows: readonly (readonly string[])[], paint: Paint): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows
    .map((row, n) => {
      const line = row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd();
      return n === 0 ? paint.bold(line) : line;
    })
    .join('\n');
}

/** `−31.2 %` for −0.312. */
export function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return String(ratio);
  const digits = (Math.abs(ratio) * 100).toFixed(1);
  return `${ratio < 0 && digits !== '0.0' ? '−' : ratio > 0 && digits !== '0.0' ? '+' : ''}${digits} %`;
}

/** Four significant digits at most, and never an exponent where it can be read without. */
export function figure(value: number): string {
  if (!Number.isFinite(value) || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(4)));
}

export function knobValue(value: KnobValue): string {
  return typeof value === 'number' ? figure(value) : printable(String(value));
}

/** `1.5 h`, `3 d`: two significant digits, in the largest unit that gives one or more. */
export function spanOf(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const;
  const [unit, size] = units.find(([, least]) => Math.abs(ms) >= least) ?? ['ms', 1];
  const count = ms / size;
  return `${Math.abs(count) >= 100 ? Math.round(count) : Number(count.toPrecision(2))} ${unit}`;
}

/** `2026-11-23 12:00:01Z` */
export function instant(atMs: number): string {
  const date = new Date(atMs);
  if (Number.isNaN(date.getTime())) return String(atMs);
  return `${date.toISOString().slice(0, 19).replace('T', ' ')}Z`;
}
