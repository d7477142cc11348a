/** Writes pages as `prometheus_client` of Python does, in both formats: what vLLM and SGLang serve, and what is read back. */
export type Labels = Readonly<Record<string, string>>;

export interface Buckets {
  /** Upper bounds, without +Inf. */
  readonly bounds: readonly number[];
  /** Of each bucket by itself, one more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum?: number;
}

export type Metric = { readonly labels?: Labels; readonly createdSeconds?: number; readonly timestampMs?: number };
export type Family = { readonly name: string; readonly help?: string; readonly unit?: string } & (
  | { readonly type: 'gauge' | 'untyped'; readonly metrics: readonly (Metric & { readonly value: number })[] }
  /** `name` is without `_total`. */
  | { readonly type: 'counter'; readonly metrics: readonly (Metric & { readonly value: number })[] }
  | { readonly type: 'histogram'; readonly metrics: readonly (Metric & Buckets)[] }
  | {
      readonly type: 'summary';
      readonly metrics: readonly (Metric & {
        readonly count: number;
        readonly sum: number;
        readonly quantiles?: Readonly<Record<string, number>>;
      })[];
    }
);

export function render(families: readonly Family[], format: 'text' | 'openmetrics'): string {
  const page = families.flatMap((family) => renderFamily(family, format)).join('\n');
  return format === 'openmetrics' ? `${page}\n# EOF\n` : `${page}\n`;
}

function renderFamily(family: Family, format: 'text' | 'openmetrics'): string[] {
  const isOpenMetrics = format === 'openmetrics';
  const { name, type, metrics } = family;
  const shown = type === 'counter' && !isOpenMetrics ? `${name}_total` : name;
  const typeName = type === 'untyped' && isOpenMetrics ? 'unknown' : type;
  const head = [
    ...(family.help === undefined ? [] : [`# HELP ${shown} ${escaped(family.help)}`]),
    `# TYPE ${shown} ${typeName}`,
    ...(family.unit === undefined || !isOpenMetrics ? [] : [`# UNIT ${shown} ${family.unit}`]),
  ];
  const time = ({ timestampMs }: Metric): string => {
    if (timestampMs === undefined) return '';
    return ` ${isOpenMetrics ? timestampMs / 1_000 : timestampMs}`;
  };
  const line = (metric: Metric, suffix: string, value: number, more: Labels = {}) =>
    `${name}${suffix}${labelText({ ...metric.labels, ...more })} ${numberText(value)}${time(metric)}`;

  const lines: string[] = [];
  const created: string[] = [];
  for (const metric of metrics) {
    if ('counts' in metric) {
      let cumulative = 0;
      for (const [i, count] of metric.counts.entries()) {
        cumulative += count;
        const le = numberText(metric.bounds[i] ?? Number.POSITIVE_INFINITY);
        lines.push(line(metric, '_bucket', cumulative, { le }));
      }
      lines.push(line(metric, '_count', cumulative));
      if (metric.sum !== undefined) lines.push(line(metric, '_sum', metric.sum));
    } else if ('count' in metric) {
      for (const [quantile, value] of Object.entries(metric.quantiles ?? {})) {
        lines.push(line(metric, '', value, { quantile }));
      }
      lines.push(line(metric, '_count', metric.count), line(metric, '_sum', metric.sum));
    } else {
      lines.push(line(metric, type === 'counter' ? '_total' : '', metric.value));
    }
    if (metric.createdSeconds !== undefined) created.push(line(metric, '_created', metric.createdSeconds));
  }
  if (created.length === 0) return [...head, ...lines];
  // Text 0.0.4 has no such samples within a family: they make one of their own.
  return isOpenMetrics
    ? [...head, ...lines, ...created]
    : [...head, ...lines, `# TYPE ${name}_created gauge`, ...created];
}

export function labelText(labels: Labels): string {
  const entries = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return '';
  return `{${entries.map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`).join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** As Python writes a float. */
export function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  const text = String(value).replace(/e\+?(-?)(\d)$/, 'e$10$2');
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
