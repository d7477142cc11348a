import type { z } from 'zod';
import { parseData } from './load.ts';
import type { Places, Problem } from './problems.ts';
import type { Config, configSchema } from './schema.ts';
import type { Environment } from './yaml.ts';

/**
 * The design document's configuration object: the very keys of `config/agent.yaml`, each optional, durations in
 * milliseconds or as text. What a process that embeds the optimizer gives; what it leaves out has the agent's default.
 */
export type OptimizerConfig = z.input<typeof configSchema>;

/** What a configuration object is not allowed to be: every problem at once, each with its path and what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(message: string, problems: readonly Problem[]) {
    super(message);
    this.problems = problems;
  }
}

/** Complete, validated and frozen; throws a `ConfigError` that lists everything that is wrong. */
export function optimizerConfig(given: OptimizerConfig = {}, environment: Environment = {}): Config {
  const loaded = parseData(given, placesIn(given), environment, 'PerformanceOptimizerConfig');
  if (!loaded.ok) throw new ConfigError(loaded.message, loaded.problems);
  return loaded.config;
}

/** An object has no lines; its values are shown as JSON. */
function placesIn(given: unknown): Places {
  return {
    lineOf: () => undefined,
    sourceOf(path) {
      let at = given;
      for (const key of path) {
        if (typeof at !== 'object' || at === null) return undefined;
        at = new Map<PropertyKey, unknown>(Object.entries(at)).get(String(key));
      }
      if (at === undefined) return undefined;
      if (typeof at === 'object' && at !== null) return 'a mapping or a list';
      return (typeof at === 'string' ? JSON.stringify(at) : String(at)).slice(0, 120);
    },
  };
}
