/**
 * A map of what the knobs do on this machine, with no agent: latency at a fixed share of the default's capacity for a
 * number of settings. Takes about two minutes; run it on an idle machine.
 *
 *     node deploy/demo/landscape.ts [--share 0.8] [--seconds 6]
 */
import { parseArgs } from 'node:util';
import { end, LoadProcess, ServerProcess } from './processes.ts';
import { table } from './report.ts';
import { summarise } from './statistics.ts';

const { values: flags } = parseArgs({
  options: { share: { type: 'string', default: '0.8' }, seconds: { type: 'string', default: '6' } },
});
const share = Number(flags.share);
const forMs = Number(flags.seconds) * 1_000;

// The default comes first and last: if those two differ much, the machine was not idle.
const SETTINGS: readonly (readonly [batch: number, waitMs: number, concurrency: number])[] = [
  [1, 0, 1],
  [4, 0, 1],
  [16, 0, 1],
  [64, 0, 1],
  [4, 2, 1],
  [4, 5, 1],
  [16, 2, 1],
  [16, 5, 1],
  [64, 2, 1],
  [64, 5, 1],
  [1, 0, 2],
  [4, 0, 2],
  [16, 0, 2],
  [64, 0, 2],
  [1, 0, 1],
];

const server = await ServerProcess.start([], 'inherit');
const load = await LoadProcess.start(server.port);
await load.saturate(16, 2_000, 100);

const rows: string[][] = [];
const atDefault = await load.saturate(16, 500, 3_000);
const rate = share * atDefault;
for (const [batch, waitMs, concurrency] of SETTINGS) {
  await server.setKnobs({ max_batch_size: batch, batch_wait_ms: waitMs, concurrency });
  // Enough connections that a batch can always be filled while another is under way.
  const capacity = await load.saturate(Math.max(16, 3 * batch * concurrency), 500, 2_000);
  load.run({ counts: [1], replayS: 1, meanPerSecond: rate, peakPerSecond: rate }, 1);
  const { latenciesMs, errors } = await load.measure(1_000, forMs);
  load.stop();
  const { meanMs, p50Ms, p95Ms, p99Ms } = summarise(latenciesMs);
  const figures = [meanMs, p50Ms, p95Ms, p99Ms].map((ms) => ms.toFixed(2));
  rows.push([batch, waitMs, concurrency, capacity.toFixed(0), ...figures, errors].map(String));
}
const header = ['batch', 'wait ms', 'concurrency', 'capacity/s', 'mean ms', 'p50', 'p95', 'p99', 'errors'];
console.log(`${rate.toFixed(0)} requests/s, ${share * 100} % of the default's ${atDefault.toFixed(0)}\n`);
console.log(
  table(
    header,
    rows,
    header.map(() => true),
  ),
);
await Promise.all([end(server.child), end(load.child)]);
