/**
 * A page of metrics for Prometheus, in its text format 0.0.4 or in OpenMetrics 1.0.0
 * (https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/specs/om/open_metrics_spec/).
 *
 * Names follow the OpenTelemetry rules for Prometheus: `points.accepted` in `{point}` becomes `points_accepted_total`, and a
 * unit such as `s` becomes part of the name.
 */

export type Labels = Readonly<Record<string, string>>;

export interface Value {
  readonly labels?: Labels;
  readonly value: number;
}

export interface HistogramValue {
  readonly labels?: Labels;
  /** Upper bounds, rising, and how many observations lie in each bucket; the last count is of those above all bounds. */
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** One metric with all its series. Names are without `_total`; base units, spelled out at the end of the name. */
export type Family = { readonly name: string; readonly help: string; readonly unit?: string } & (
  | { readonly type: 'counter' | 'gauge'; readonly values: readonly Value[] }
  | { readonly type: 'info'; readonly values: readonly Required<Pick<Value, 'labels'>>[] }
  | { readonly type: 'histogram'; readonly values: readonly HistogramValue[] }
);

export type Format = 'text' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

export function renderMetrics(families: readonly Family[], format: Format): string {
  const lines = families.flatMap((family) => renderFamily(family, format));
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

function renderFamily(family: Family, format: Format): string[] {
  const { name, help, unit, type } = family;
  const isOpen = format === 'openmetrics';
  // The older format knows no suffixes that belong to a type: there the whole name is the metric's.
  const suffix = type === 'counter' ? '_total' : type === 'info' ? '_info' : '';
  const shown = isOpen ? name : `${name}${suffix}`;
  const shownType = !isOpen && type === 'info' ? 'gauge' : type;
  return [
    `# HELP ${shown} ${escapeHelp(help, isOpen)}`,
    `# TYPE ${shown} ${shownType}`,
    ...(isOpen && unit !== undefined ? [`# UNIT ${shown} ${unit}`] : []),
    ...renderValues(family, suffix),
  ];
}

function renderValues(family: Family, suffix: string): string[] {
  const { name } = family;
  switch (family.type) {
    case 'counter':
    case 'gauge':
      return family.values.map(({ labels, value }) => line(`${name}${suffix}`, labels, value));
    case 'info':
      return family.values.map(({ labels }) => line(`${name}${suffix}`, labels, 1));
    case 'histogram':
      return family.values.flatMap(({ labels, bounds, counts, sum }) => {
        let below = 0;
        const buckets = [...bounds, Number.POSITIVE_INFINITY].map((bound, n) => {
          below += counts[n] ?? 0;
          return line(`${name}_bucket`, { ...labels, le: bucketBound(bound) }, below);
        });
        return [...buckets, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, below)];
      });
  }
}

function line(name: string, labels: Labels | undefined, value: number): string {
  const pairs = Object.entries(labels ?? {}).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${number(value)}`;
}

/** OpenMetrics wants bounds as floats, so that every library writes the same label. */
function bucketBound(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : number(bound);
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function escapeHelp(text: string, isOpen: boolean): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return isOpen ? escaped.replaceAll('"', '\\"') : escaped;
}

/** OpenMetrics where the client prefers it at least as much as plain text, by its `Accept` header; else plain text. */
export function negotiate(accept: string | undefined): Format {
  let openmetrics = 0;
  let text = 0;
  for (const part of (accept ?? '').slice(0, 1_000).split(',')) {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const given = new Map(parameters.map((piece) => splitOnce(piece)));
    const quality = Number(given.get('q') ?? 1);
    if (!(quality > 0)) continue;
    const version = given.get('version');
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0')) {
      openmetrics = Math.max(openmetrics, quality);
    } else if (type === 'text/plain') text = Math.max(text, quality);
  }
  return openmetrics > 0 && openmetrics >= text ? 'openmetrics' : 'text';
}

function splitOnce(piece: string): readonly [string, string] {
  const at = piece.indexOf('=');
  return at < 0 ? [piece, ''] : [piece.slice(0, at), piece.slice(at + 1).replaceAll('"', '')];
}
