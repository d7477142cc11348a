/** `npm run -s bench:crash -- --kills N [--seed N] [--json]`: exit code 1 where anything happened that must not. */
import { parseArgs } from 'node:util';
import { killAtRandom } from './crash/run.ts';

const { values } = parseArgs({
  options: { kills: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } },
});
const plan = { kills: Number(values.kills ?? 100), seed: Number(values.seed ?? 1), longestPauseMs: 1_500 };
const report = await killAtRandom(plan, (line) => process.stderr.write(`${line}\n`));
if (values.json) console.log(JSON.stringify(report, null, 2));
else {
  const { kills, acknowledged, acknowledgedLost, unsafeBeyondLease, commands, duplicateOrStaleObeyed, takeOverMs } =
    report;
  console.log(`${kills.agent} kills of the agent, ${kills.client} of a client`);
  console.log(
    `of ${acknowledged.decisions} decisions and ${acknowledged.pins} pins acknowledged, lost: ${acknowledgedLost}`,
  );
  console.log(`values held beyond their lease: ${unsafeBeyondLease}`);
  const wrong = `${commands.sentTwice} commands sent twice and ${commands.staleOrForged} stale or forged`;
  console.log(`of ${wrong}, obeyed: ${duplicateOrStaleObeyed}`);
  const spread = ({ p50, p99, max }: typeof takeOverMs): string => `${p50} ms (p50), ${p99} (p99), ${max} at most`;
  console.log(`a new agent is ready after ${spread(report.agentStartMs)}; its last session is back after another`);
  console.log(spread(takeOverMs));
  for (const breach of report.breaches) console.log(`  ${breach}`);
}
process.exitCode = report.breaches.length === 0 ? 0 : 1;
