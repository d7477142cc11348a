import { z } from 'zod';
import { parseAddress } from '../rpc/address.ts';

/** What the schema says of a key beyond its type: read by error messages, the reference file and the JSON Schema. */
export type KeyNotes = {
  readonly description?: string | undefined;
  /** The end of the sentence "allowed: …". */
  readonly allowed?: string | undefined;
  /** Never shown, wherever it stands. */
  readonly secret?: boolean | undefined;
  /** Shown, commented out, where the default shows nothing. */
  readonly example?: unknown;
};

interface Range {
  readonly min: number;
  readonly max: number;
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const MS_PER: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/;
const BYTES_PER: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** `10s`, `1.5h`; milliseconds stay as they are. */
function scaled(value: number | string, pattern: RegExp, unit: Readonly<Record<string, number>>): number {
  if (typeof value === 'number') return value;
  const match = pattern.exec(value);
  return match === null ? Number.NaN : Math.round(Number(match[1]) * (unit[match[2] ?? ''] ?? Number.NaN));
}

/** Milliseconds, or text with a unit. Becomes milliseconds. */
export function duration(description: string, range: Range) {
  return z
    .union([z.number(), z.string().regex(DURATION)])
    .transform((value) => scaled(value, DURATION, MS_PER))
    .refine((ms) => ms >= range.min && ms <= range.max)
    .meta(notes(description, `${formatDuration(range.min)} to ${formatDuration(range.max)}, as "10s" or milliseconds`));
}

/** Milliseconds of `10s`, `24h`; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  return DURATION.test(text) ? scaled(text, DURATION, MS_PER) : undefined;
}

/** Bytes, or text with a binary unit. Becomes bytes. */
export function bytes(description: string, range: Range) {
  return z
    .union([z.int(), z.string().regex(SIZE)])
    .transform((value) => scaled(value, SIZE, BYTES_PER))
    .refine((size) => size >= range.min && size <= range.max)
    .meta(notes(description, `${formatBytes(range.min)} to ${formatBytes(range.max)}, as "4MiB" or bytes`));
}

export function number(description: string, range: Range) {
  const allowed = `a number from ${range.min} to ${range.max}`;
  return z.number().min(range.min).max(range.max).meta(notes(description, allowed));
}

export function integer(description: string, range: Range) {
  const allowed = `a whole number from ${range.min} to ${range.max}`;
  return z.int().min(range.min).max(range.max).meta(notes(description, allowed));
}

export function flag(description: string) {
  return z.boolean().meta(notes(description, 'true or false'));
}

export function choice<const T extends readonly [string, ...string[]]>(description: string, values: T) {
  return z.enum(values).meta(notes(description, `one of ${values.join(', ')}`));
}

/** Text of at least one character and no control characters, so that no name can forge a line in a log. */
export function text(description: string, allowed: string, pattern: RegExp = /^[^\p{Cc}]{1,512}$/u) {
  return z.string().regex(pattern).meta(notes(description, allowed));
}

export function pemFile(description: string) {
  return text(description, 'the path of a PEM file', /^[^\p{Cc}]{1,4096}$/u);
}

/** Text that no message shows. */
export function secret(description: string, allowed: string, pattern: RegExp) {
  return z
    .string()
    .regex(pattern)
    .meta({ description, allowed, secret: true } satisfies KeyNotes);
}

/** Headers that may hold a secret, which comes from the environment: `variable` is the example's. */
export function secretHeaders(variable: string) {
  return z
    .record(z.string().regex(/^[A-Za-z0-9_.-]{1,100}$/), z.string().regex(/^[\x20-\x7e]{0,4096}$/))
    .default({})
    .meta({
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is about this very syntax.
      description: 'Sent with every request. Keep secrets out of the file: ${env:NAME}.',
      allowed: 'a mapping of header names to printable ASCII text',
      example: { authorization: `Bearer \${env:${variable}}` },
    });
}

export function address(description: string) {
  return z
    .string()
    .max(300)
    .refine(isAddress)
    .meta(notes(description, 'host:port, [IPv6]:port or unix:/absolute/path; port 0 lets the system choose'));
}

function isAddress(value: string): boolean {
  try {
    parseAddress(value);
    return true;
  } catch {
    // It says what is allowed; so does the key's own note, with the line in the file.
    return false;
  }
}

function notes(description: string, allowed: string): KeyNotes {
  return { description, allowed };
}

export function formatDuration(ms: number): string {
  for (const [unit, size] of Object.entries(MS_PER).reverse()) {
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

export function formatBytes(size: number): string {
  for (const [unit, per] of Object.entries(BYTES_PER).reverse()) {
    if (size >= per && size % per === 0) return `${size / per}${unit}`;
  }
  return `${size}B`;
}
