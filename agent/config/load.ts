import { readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { defaultSocketPath } from '../rpc/address.ts';
import { formatProblems, type Places, type Problem, problemAt, problemsOf } from './problems.ts';
import { breaches, reachesOwnReceiver } from './rules.ts';
import { type Config, configSchema } from './schema.ts';
import { type Environment, readYaml } from './yaml.ts';

export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config /** Worth a line in the log at start. */;
      readonly notes: readonly string[];
    }
  | {
      readonly ok: false;
      readonly problems: readonly Problem[] /** All problems, one a line. */;
      readonly message: string;
    };

/** Larger is a mistake, and would be read into memory whole. */
const MAX_FILE_BYTES = 1024 * 1024;

/** Every default, in an empty environment. */
export function defaultConfig(): Config {
  return deepFreeze(withSocket(configSchema.parse({}), {}));
}

/** Reads and validates a file; without one, the defaults and the environment. Never throws. */
export function loadConfig(path: string | undefined, environment: Environment): Loaded {
  if (path === undefined) return parseConfig('', environment, 'defaults');
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES)
      return refused(path, [{ path: '', message: `${size} bytes; allowed: ${MAX_FILE_BYTES}` }]);
    return parseConfig(readFileSync(path, 'utf8'), environment, path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refused(path, [{ path: '', message: `cannot be read: ${reason}` }]);
  }
}

/** Validates the text of a file whole; `source` names it in messages. */
export function parseConfig(text: string, environment: Environment, source = 'config'): Loaded {
  const file = readYaml(text, environment);
  if (file.problems.length > 0) return refused(source, file.problems);
  return parseData(file.data, file.places, environment, source);
}

/** The same of plain data; `places` says where a path stands. */
export function parseData(data: unknown, places: Places, environment: Environment, source: string): Loaded {
  const parsed = configSchema.safeParse(data);
  if (!parsed.success) return refused(source, problemsOf(parsed.error.issues, configSchema, places));

  const { config, notes } = withEndpoint(withSocket(parsed.data, environment), environment);
  const broken = breaches(config);
  if (broken.length > 0) {
    return refused(
      source,
      broken.map(({ path, message }) => problemAt(path, message, places)),
    );
  }
  return { ok: true, config: deepFreeze(config), notes };
}

function refused(source: string, problems: readonly Problem[]): Loaded {
  return { ok: false, problems, message: formatProblems(source, problems) };
}

/** `auto` becomes the path where this user's clients look. */
function withSocket(config: Config, environment: Environment): Config {
  if (config.control.socket !== 'auto') return config;
  const socket = defaultSocketPath(environment.XDG_RUNTIME_DIR, userInfo().uid);
  return { ...config, control: { ...config.control, socket } };
}

/**
 * OTEL_EXPORTER_OTLP_ENDPOINT counts where the file sets no endpoint. A process next to the agent has it point at the
 * agent, and the agent often inherits that environment: then own telemetry stays off, and the log says so.
 */
function withEndpoint(config: Config, environment: Environment): { config: Config; notes: string[] } {
  const endpoint = environment.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT || environment.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (config.telemetry.endpoint !== null || endpoint === undefined || endpoint === '') return { config, notes: [] };
  const variable = environment.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT
    ? 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT'
    : 'OTEL_EXPORTER_OTLP_ENDPOINT';
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    return { config, notes: [`${variable} is not an http:// or https:// URL; own telemetry stays off`] };
  }
  if (reachesOwnReceiver(endpoint, config)) {
    return { config, notes: [`${variable} points at this agent's own receiver; own telemetry stays off`] };
  }
  return { config: { ...config, telemetry: { ...config.telemetry, endpoint } }, notes: [] };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const child of Object.values(value)) deepFreeze(child);
    Object.freeze(value);
  }
  return value;
}
