import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { Violation } from './checkers/rule.ts';
import { builtInScenario } from './scenario.ts';
import { settingsFor } from './settings.ts';
import type { CheckedRunOptions } from './trial_run.ts';

/** Everything that a run depends on: with the code, it replays to the last effect. */
const caseSchema = z.strictObject({
  scenario: z.string().describe('name of a file under test/sim/scenarios, without .yaml'),
  seed: z.int(),
  runMs: z.number().positive(),
  eager: z.boolean().default(false).describe('short cooldowns: many more trials in the same time'),
  client: z.enum(['model', 'real']).default('model').describe('the fast model of the client, or the code that ships'),
  why: z.string().default('').describe('what was wrong when this seed was found'),
});
export type SimCase = z.input<typeof caseSchema>;
type CompleteCase = z.output<typeof caseSchema>;

const FOLDER = new URL('../regression/', import.meta.url);

/** The run that a case describes; the engine is the caller's choice. */
export function caseOptions(simCase: SimCase): Omit<CheckedRunOptions, 'createEngine'> {
  const scenario = builtInScenario(simCase.scenario);
  const settings = settingsFor(scenario);
  const cooldown = simCase.eager ? { windows: 2, maxWindows: 32 } : settings.cooldown;
  return { scenario, seed: simCase.seed, runMs: simCase.runMs, settings: { ...settings, cooldown } };
}

export function readCases(): readonly (CompleteCase & { readonly file: string })[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => ({ file, ...caseSchema.parse(parse(readFileSync(new URL(file, FOLDER), 'utf8'))) }));
}

/** Writes a failing seed down, so that it is replayed by every run of the tests from now on. Returns where. */
export function keepCase(simCase: SimCase, violations: readonly Violation[]): string {
  const client = simCase.client === 'real' ? '-real-client' : '';
  const file = `${simCase.scenario}-${simCase.seed}${client}.yaml`;
  const found = violations.slice(0, 5).map(({ rule, atMs, detail }) => `${rule} at ${Math.round(atMs)} ms: ${detail}`);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(new URL(file, FOLDER), stringify({ ...simCase, why: found.join('\n') }));
  return `test/regression/${file}`;
}
