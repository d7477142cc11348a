/**
 * `npm run -s bench:demo [-- --runs N] [--minutes M] [--against CHECKOUT] [--json]`: the demo several times with other seeds, how soon
 * it proves its first change and by how much the tuned server is better in the end; by turns with the demo of another checkout
 * (one that `npm ci` was run in), so that both meet the same machine. It wants the machine for itself.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    minutes: { type: 'string', default: '4' },
    against: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const report = z.object({
  objective: z.object({ estimate: z.number(), low: z.number(), high: z.number() }),
  trials: z.array(z.object({ outcome: z.string(), startedMs: z.number(), endedMs: z.number().optional() })),
  kept: z.number(),
  unprovenKept: z.number(),
  leaseFallbackMs: z.number().nullable(),
});

interface Run {
  readonly seed: number;
  /** From the beginning of the first trial to the first change that is kept; null: nothing was. */
  readonly provenMs: number | null;
  readonly kept: number;
  readonly unprovenKept: number;
  /** Of the objective, tuned against default: −.9 is 90 % less. */
  readonly objective: { readonly estimate: number; readonly low: number; readonly high: number };
  readonly fallbackMs: number | null;
}

const here = resolve(import.meta.dirname, '../..');
const checkouts = values.against === undefined ? [here] : [here, resolve(values.against)];
const runs = new Map<string, Run[]>(checkouts.map((each) => [each, []]));
for (let seed = 1; seed <= Number(values.runs); seed++) {
  for (const checkout of checkouts) {
    const run = await demo(checkout, seed);
    runs.get(checkout)?.push(run);
    if (!values.json) console.log(`${checkout} ${sentence(run)}`);
  }
}
if (values.json) console.log(JSON.stringify(Object.fromEntries(runs), null, 2));
else {
  for (const [checkout, all] of runs) {
    const proven = all.flatMap(({ provenMs }) => provenMs ?? []).toSorted((a, b) => a - b);
    const spread = proven.map((ms) => (ms / 1_000).toFixed(0)).join(', ');
    console.log(`${checkout}: proved in ${proven.length} of ${all.length} runs, after ${spread} s`);
  }
}

async function demo(checkout: string, seed: number): Promise<Run> {
  const flags = ['--json', '--minutes', values.minutes, '--seed', String(seed)];
  const child = spawn(process.execPath, [join(checkout, 'deploy/demo/demo.ts'), ...flags], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (code !== 0) throw new Error(`the demo of ${checkout} with seed ${seed} ended with ${code}:\n${errors}`);
  const { trials, objective, kept, unprovenKept, leaseFallbackMs } = report.parse(JSON.parse(out));
  const proof = trials.find(({ outcome }) => outcome === 'kept');
  const provenMs = proof?.endedMs === undefined ? null : proof.endedMs - Math.min(...trials.map((t) => t.startedMs));
  return { seed, provenMs, kept, unprovenKept, objective, fallbackMs: leaseFallbackMs };
}

function sentence({ seed, provenMs, kept, objective }: Run): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const when = provenMs === null ? 'nothing proven' : `proven after ${(provenMs / 1_000).toFixed(0)} s, ${kept} kept`;
  return `seed ${seed}: ${when}; objective ${percent(objective.estimate)} (${percent(objective.low)} to ${percent(objective.high)})`;
}
