/** `npm run -s bench:changepoints -- tcpd DIR [--json]`: Turing change point data set, one configuration for all. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { changePoints } from '../../agent/core/pattern/change-points.ts';
import { type Annotations, covering, f1 } from './changepoints/scores.ts';
import { spread } from './forecast/metrics.ts';

interface TcpdSeries {
  readonly name: string;
  readonly n_obs: number;
  readonly series: readonly { readonly raw: readonly (number | null)[] }[];
}

const [protocol, dir] = process.argv.slice(2).filter((a) => !a.startsWith('--'));
if (protocol !== 'tcpd' || dir === undefined) {
  process.stderr.write('usage: bench:changepoints -- tcpd DIR [--json]\n');
  process.exit(2);
}
const annotations: Record<string, Annotations> = JSON.parse(readFileSync(join(dir, 'annotations.json'), 'utf8'));
const all = readdirSync(dir, { recursive: true, encoding: 'utf8' })
  .filter((f) => f.endsWith('.json') && !f.endsWith('annotations.json'))
  .sort()
  .map((f): TcpdSeries => JSON.parse(readFileSync(join(dir, f), 'utf8')))
  .filter((s) => annotations[s.name] !== undefined && s.series.length === 1);

const answers: Readonly<Record<string, (y: readonly number[]) => readonly number[]>> = {
  ours: (y) => changePoints(y).map((c) => c.index),
  none: () => [],
  everyHundredth: (y) => y.map((_, i) => i).filter((i) => i > 0 && i % 100 === 0),
  oneInTheMiddle: (y) => [y.length >> 1],
};
const rows = all.map((s) => {
  const y = s.series[0]!.raw.map((v) => v ?? Number.NaN);
  const truth = annotations[s.name]!;
  return {
    name: s.name,
    scores: Object.entries(answers).map(([by, find]) => {
      const started = performance.now();
      const found = find(y);
      const us = (1000 * (performance.now() - started)) / y.length;
      return { by, found, f1: f1(truth, found), covering: covering(truth, found, y.length), us };
    }),
  };
});
const of = (by: string) => rows.map((r) => r.scores.find((s) => s.by === by)!);
const result = {
  protocol: 'TCPD, univariate series, margin 5; mean and standard deviation over series',
  series: rows.length,
  ...Object.fromEntries(
    Object.keys(answers).map((by) => [
      by,
      { f1: spread(of(by).map((s) => s.f1)), covering: spread(of(by).map((s) => s.covering)) },
    ]),
  ),
  usPerPoint: spread(of('ours').map((s) => s.us)).mean,
  bySeries: rows.map((r, i) => {
    const { found, f1, covering } = of('ours')[i]!;
    return { name: r.name, f1, covering, found };
  }),
};
process.stdout.write(
  process.argv.includes('--json')
    ? `${JSON.stringify(result)}\n`
    : `${JSON.stringify(result, (_, v) => (typeof v === 'number' ? Number(v.toPrecision(4)) : v), 1)}\n`,
);
