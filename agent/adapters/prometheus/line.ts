/** Text 0.0.4 of Prometheus, or OpenMetrics 1.0: timestamps in milliseconds or in seconds, and what ends a page. */
export type Format = 'text' | 'openmetrics';

export const FAMILY_TYPES = [
  ...['counter', 'gauge', 'histogram', 'summary', 'untyped', 'unknown', 'info', 'stateset', 'gaugehistogram'],
] as const;
export type FamilyType = (typeof FAMILY_TYPES)[number];

/** Name and value. */
export type Label = readonly [name: string, value: string];

/** What one line says. */
export type Line =
  | {
      readonly kind: 'sample';
      readonly name: string;
      /** As they stand, those with an empty value left out: to Prometheus they are absent. */
      readonly labels: readonly Label[];
      readonly value: number;
      readonly timestampMs?: number;
    }
  | { readonly kind: 'type'; readonly family: string; readonly type: FamilyType }
  | { readonly kind: 'unit'; readonly family: string; readonly unit: string }
  | { readonly kind: 'end' }
  /** Empty, a comment, or help. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'bad'; readonly reason: string };

export interface LineLimits {
  readonly maxNameLength: number;
  readonly maxLabels: number;
  readonly maxLabelValueLength: number;
}

export const DEFAULT_LINE_LIMITS: LineLimits = { maxNameLength: 256, maxLabels: 64, maxLabelValueLength: 2_048 };

const NOTHING: Line = { kind: 'nothing' };
const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const BLANKS = /[ \t]*/y;
const TOKEN = /[^ \t]+/y;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const TYPES: ReadonlySet<string> = new Set(FAMILY_TYPES);

/**
 * Reads one line without its line feed. Both formats in one grammar, lenient where servers are: any run of blanks
 * separates, a comma may trail the last label, a sample may have an exemplar (which is skipped: it is counted in its
 * sample already).
 */
export function readLine(line: string, format: Format, limits: LineLimits): Line {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  const start = skipBlanks(text, 0);
  if (start === text.length) return NOTHING;
  return text[start] === '#' ? readComment(text, start + 1, format) : readSample(text, start, format, limits);
}

function readComment(text: string, at: number, format: Format): Line {
  const [keyword = '', family = '', ...rest] = text
    .slice(at)
    .trim()
    .split(/[ \t]+/);
  // A comment needs a blank after its `#`, and so does a keyword.
  if (at < text.length && text[at] !== ' ' && text[at] !== '\t') return NOTHING;
  if (keyword === 'EOF' && format === 'openmetrics') return { kind: 'end' };
  if (keyword === 'UNIT' && rest.length > 0) return { kind: 'unit', family, unit: rest[0]! };
  if (keyword !== 'TYPE') return NOTHING;
  const type = FAMILY_TYPES.find((known) => known === rest[0]);
  if (family === '' || type === undefined || rest.length > 1) {
    return bad(`"# TYPE" must name a metric and one of ${[...TYPES].join(', ')}`);
  }
  return { kind: 'type', family, type };
}

function readSample(text: string, start: number, format: Format, limits: LineLimits): Line {
  const name = match(METRIC_NAME, text, start);
  if (name === '') return bad(`a metric name cannot begin with ${JSON.stringify(text[start])}`);
  if (name.length > limits.maxNameLength) return bad(`the metric name is longer than ${limits.maxNameLength}`);
  let at = skipBlanks(text, start + name.length);
  let labels: readonly Label[] = [];
  if (text[at] === '{') {
    const read = readLabels(text, at + 1, limits);
    if (typeof read === 'string') return bad(read);
    labels = read.labels;
    at = skipBlanks(text, read.end);
  } else if (at === start + name.length && at < text.length) {
    return bad(`${JSON.stringify(text[at])} cannot stand in a metric name`);
  }

  const valueText = match(TOKEN, text, at);
  const value = readNumber(valueText);
  if (value === undefined) return bad(`the value ${quote(valueText)} is not a number`);
  at = skipBlanks(text, at + valueText.length);
  if (at === text.length || text[at] === '#') return { kind: 'sample', name, labels, value };

  const timeText = match(TOKEN, text, at);
  const time = readNumber(timeText);
  if (time === undefined || !Number.isFinite(time)) return bad(`the timestamp ${quote(timeText)} is not a number`);
  at = skipBlanks(text, at + timeText.length);
  if (at < text.length && text[at] !== '#') return bad(`${quote(text.slice(at))} stands after the timestamp`);
  return { kind: 'sample', name, labels, value, timestampMs: format === 'openmetrics' ? msOfSeconds(time) : time };
}

/** From behind the opening brace to behind the closing one; text: what is wrong. */
function readLabels(
  text: string,
  start: number,
  limits: LineLimits,
): { readonly labels: readonly Label[]; readonly end: number } | string {
  const labels: Label[] = [];
  const names = new Set<string>();
  let at = skipBlanks(text, start);
  while (text[at] !== '}') {
    const name = match(LABEL_NAME, text, at);
    if (name === '')
      return at < text.length ? `a label name cannot begin with ${quote(text[at]!)}` : 'no closing brace';
    if (name.length > limits.maxNameLength) return `a label name is longer than ${limits.maxNameLength}`;
    if (names.has(name)) return `label ${name} stands twice`;
    if (names.size === limits.maxLabels) return `more than ${limits.maxLabels} labels`;
    names.add(name);
    at = skipBlanks(text, at + name.length);
    if (text[at] !== '=') return `no "=" after label ${name}`;
    at = skipBlanks(text, at + 1);
    if (text[at] !== '"') return `the value of label ${name} does not begin with a quote`;
    const end = closingQuote(text, at + 1);
    if (end < 0) return `the value of label ${name} does not end with a quote`;
    if (end - at - 1 > limits.maxLabelValueLength)
      return `the value of label ${name} is longer than ${limits.maxLabelValueLength}`;
    const value = unescaped(text.slice(at + 1, end));
    if (value !== '') labels.push([name, value]);
    at = skipBlanks(text, end + 1);
    if (text[at] === ',') at = skipBlanks(text, at + 1);
    else if (text[at] !== '}') return `no comma and no closing brace after label ${name}`;
  }
  return { labels, end: at + 1 };
}

function closingQuote(text: string, start: number): number {
  let at = start;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at < text.length ? at : -1;
}

/** `\\`, `\"` and `\n`; any other backslash stands for itself. */
function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw;
  return raw.replace(/\\([\\"n])/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

/** As Go's `ParseFloat`, without its hexadecimal forms, which neither format allows. */
export function readNumber(text: string): number | undefined {
  if (NUMBER.test(text)) return Number(text);
  switch (text.toLowerCase()) {
    case 'nan':
      return Number.NaN;
    case 'inf':
    case '+inf':
    case 'infinity':
    case '+infinity':
      return Number.POSITIVE_INFINITY;
    case '-inf':
    case '-infinity':
      return Number.NEGATIVE_INFINITY;
    default:
      return undefined;
  }
}

/** To the microsecond: what is finer is an error of the decimal fraction, and would make one instant two. */
export function msOfSeconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e3;
}

function skipBlanks(text: string, at: number): number {
  BLANKS.lastIndex = at;
  return at + (BLANKS.exec(text)?.[0].length ?? 0);
}

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

/** Short enough for a log, whatever a page says. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function bad(reason: string): Line {
  return { kind: 'bad', reason };
}
