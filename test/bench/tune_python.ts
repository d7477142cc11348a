/**
 * Optimisers of the Python world (optuna, cma, nevergrad, smac, vizier) in the race of `bench:tune`: `npm run -s bench:tune:python -- [FILE...] [--seeds 3]`.
 *
 * BoTorch and HEBO are not among them: BoTorch brings torch with some 2.5 GB of CUDA libraries on x86-64, HEBO, which asks for torch too, was not tried; TuRBO and the
 * Gaussian processes of `bench:tune` stand in.
 *
 * The npm script makes a virtual environment from `python/requirements-tune.txt`. Python runs as a child behind two named pipes, which are read and written synchronously: ask and tell are plain calls for the plant. Peers see
 * each window's log objective and nothing else; a kill counts as ten times slower, as for every peer.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { findOracle } from '../sim/plant/oracle.ts';
import { builtInScenario } from '../sim/scenario.ts';
import type { Method, MethodContext } from './tune/method.ts';
import { runPeer } from './tune/run_peer.ts';
import { scenarioAt } from './tune/scenario_file.ts';
import { reportOf } from './tune/score.ts';

/** `smac` is there too, and has to be asked for by `--methods`: its forests took more than ten minutes for a run of p1-smooth. */
const METHODS = ['optuna-tpe', 'cma', 'nevergrad-1+1', 'nevergrad-tbpsa', 'vizier-eagle'];
const WINDOWS = 400;
const SCRIPT = new URL('python/tune_peers.py', import.meta.url).pathname;
const answerSchema = z.object({ ask: z.array(z.number()), best: z.array(z.number()) });

/** The child, its pipes, and whole lines through them. */
class Bridge {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tune-peers-'));
  readonly #asks: number;
  readonly #answers: number;
  #rest = '';

  constructor(python: string) {
    const [asks, answers] = ['asks', 'answers'].map((name) => join(this.#folder, name));
    execFileSync('mkfifo', [asks, answers]);
    spawn(python, [SCRIPT, asks, answers], { stdio: ['ignore', 'inherit', 'inherit'] });
    // Each end opens as soon as the other does.
    this.#asks = openSync(asks, 'w');
    this.#answers = openSync(answers, 'r');
  }

  call(message: unknown): z.output<typeof answerSchema> {
    writeSync(this.#asks, `${JSON.stringify(message)}\n`);
    const chunk = Buffer.alloc(65_536);
    while (!this.#rest.includes('\n')) {
      const size = readSync(this.#answers, chunk);
      if (size === 0) throw new Error('the Python side has gone; what it said is above');
      this.#rest += chunk.toString('utf8', 0, size);
    }
    const end = this.#rest.indexOf('\n');
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return answerSchema.parse(JSON.parse(line));
  }

  close(): void {
    closeSync(this.#asks);
    closeSync(this.#answers);
    rmSync(this.#folder, { recursive: true });
  }
}

function peer(bridge: Bridge, method: string, seed: number): (context: MethodContext) => Method {
  return ({ start }) => {
    let now = bridge.call({ method, start, seed });
    return {
      ask: () => now.ask,
      tell: ({ y }) => {
        now = bridge.call({ y });
      },
      incumbent: () => now.best,
    };
  };
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string', default: '3' },
      python: { type: 'string', default: 'python3' },
      methods: { type: 'string' },
    },
  });
  const methods = values.methods?.split(',') ?? METHODS;
  const scenarios = positionals.length > 0 ? positionals.map(scenarioAt) : [builtInScenario('p1-smooth')];
  const bridge = new Bridge(values.python);
  for (const scenario of scenarios) {
    const runMs = WINDOWS * scenario.windowMs;
    const oracle = findOracle(scenario, runMs);
    for (const method of methods) {
      const scores = Array.from({ length: Number(values.seeds) }, (_, seed) =>
        runPeer(scenario, oracle, peer(bridge, method, seed), seed, runMs),
      );
      const { regretRatio: regret, extraViolationPercent, killsPerRun, cpuUsPerWindow } = reportOf(method, scores);
      const interval = regret && `${regret.mean.toFixed(2)} [${regret.low.toFixed(2)}, ${regret.high.toFixed(2)}]`;
      const rest = `${extraViolationPercent.mean.toFixed(2)} % extra violations, ${killsPerRun.mean.toFixed(2)} kills a run`;
      console.log(
        `${scenario.name}  ${method}: regret ${interval ?? '-'}, ${rest}, ${cpuUsPerWindow.toFixed(0)} µs a window`,
      );
    }
  }
  bridge.close();
}

main();
