/**
 * Benchmarks of the anomaly detector:  npm run -s bench:detect -- nab|kpi|smd|pods DIR [--scores OUT] [--budget B] [--json]
 *
 * Every figure is of the monitor that ships, one configuration for all series, labels read by the scorers only. Beside
 * each stand alarms that never look at the data.
 */
import { parseArgs } from 'node:util';
import { DEFAULT_ALERT_POLICY } from '../../agent/core/detect/alert.ts';
import { benchKpi } from './detect/kpi.ts';
import { benchNab } from './detect/nab.ts';
import { benchPods } from './detect/pods.ts';
import { type ScoredSeries, writeScores } from './detect/scores-file.ts';
import { benchSmd } from './detect/smd.ts';

const USAGE = 'usage: bench:detect nab|kpi|smd|pods DIR [--scores OUT] [--budget ALERTS_PER_SERIES_AND_DAY] [--json]';
const PRODUCT_BUDGET = DEFAULT_ALERT_POLICY.kind === 'budget' ? DEFAULT_ALERT_POLICY.alertsPerDay : 0.2;

interface Bench {
  readonly run: (dir: string, options: { readonly budgetPerDay: number }) => { report: object; scored: ScoredSeries[] };
  readonly budgetPerDay: number;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  nab: { run: benchNab, budgetPerDay: PRODUCT_BUDGET },
  // The protocol's allowance: at most one false alert per series and day.
  kpi: { run: benchKpi, budgetPerDay: 1 },
  smd: { run: benchSmd, budgetPerDay: PRODUCT_BUDGET },
  pods: { run: benchPods, budgetPerDay: PRODUCT_BUDGET },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { scores: { type: 'string' }, budget: { type: 'string' }, json: { type: 'boolean', default: false } },
});
const [name, dir] = positionals;
const bench = name === undefined ? undefined : BENCHES[name];
if (bench === undefined || dir === undefined) {
  console.error(USAGE);
  process.exit(2);
}
const budgetPerDay = values.budget === undefined ? bench.budgetPerDay : Number(values.budget);
const { report, scored } = bench.run(dir, { budgetPerDay });
if (values.scores !== undefined) writeScores(values.scores, scored);
console.log(values.json ? JSON.stringify(report) : JSON.stringify(report, undefined, 2));
