import type { Status } from '../adapters/web/status.ts';
import type { Config } from '../config/schema.ts';
import { diagnose, type Finding } from './diagnosis.ts';
import { CONFIG_OPTION, configOf } from './settings.ts';
import { type Command, CommandError, EXIT, type Given, hasFlag, optionOf } from './shell.ts';
import { type Paint, paint, printable } from './text.ts';

const ANSWER_WITHIN_MS = 5_000;

export const doctorCommand: Command = {
  name: 'doctor',
  synopsis: '[--web ADDRESS] [--json]',
  summary: 'say why nothing arrives, or why nothing is tuned, and what to do next',
  details: [
    'Asks the running agent for its state. Exit code 1 when something is wrong.',
    '  -w, --web      address of its pages, host:port; else web.address of the configuration',
    '  --json         { "findings": [{ "level", "what", "next" }], "status": … }',
    '  -c, --config   the configuration file; else PERFOPT_CONFIG, else the defaults',
  ],
  options: { ...CONFIG_OPTION, web: { type: 'string', short: 'w' }, json: { type: 'boolean' } },
  arguments: [0, 0],
  async run(given, shell) {
    const { config } = configOf(given, shell);
    const status = await askStatus(addressOf(given, config), config.web.key);
    const findings = diagnose(status);
    shell.out(
      hasFlag(given, 'json')
        ? JSON.stringify({ findings, status }, null, 2)
        : findings.map((finding) => shown(finding, paint(shell.hasColours))).join('\n'),
    );
    return findings.some(({ level }) => level === 'problem') ? EXIT.failed : EXIT.ok;
  },
};

function addressOf(given: Given, config: Config): string {
  const address = optionOf(given, 'web') ?? config.web.address;
  if (address === null) {
    throw new CommandError('web.address is null, so the agent shows no state; give it an address, and start it again');
  }
  return address;
}

async function askStatus(address: string, key: string | null): Promise<Status> {
  const url = `http://${address}/status`;
  if (!URL.canParse(url)) throw new CommandError(`--web ${printable(address)}: allowed: host:port`, EXIT.usage);
  let response: Response;
  try {
    response = await fetch(url, {
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
  } catch (error) {
    throw new CommandError(notReached(address, error));
  }
  const body = await response.text();
  if (response.status === 401) {
    throw new CommandError(
      `the agent at ${address} wants its key: give the configuration that it runs with (--config)`,
    );
  }
  const status = statusIn(body);
  if (response.status !== 200 || status === undefined) {
    throw new CommandError(`what listens at ${address} is no agent of this version (HTTP ${response.status})`);
  }
  return status;
}

function notReached(address: string, error: unknown): string {
  const isLate = error instanceof Error && error.name === 'TimeoutError';
  if (isLate) return `the agent at ${address} did not answer within 5 s: its event loop is stalled, or the machine is`;
  return (
    `no agent answers at ${address}: start one with \`perfopt run\`, or say where its pages are with --web; ` +
    'when it ends right after the start, the last lines of its log say why'
  );
}

/** Of our own agent, so it is checked only for being one. */
function statusIn(body: string): Status | undefined {
  try {
    const parsed: Status = JSON.parse(body);
    return typeof parsed === 'object' && 'engine' in parsed && 'components' in parsed ? parsed : undefined;
  } catch {
    // Not JSON: something else listens there.
    return undefined;
  }
}

function shown({ level, what, next }: Finding, paint: Paint): string {
  const mark = { ok: paint.good('ok     '), note: paint.bold('note   '), problem: paint.bad('problem') }[level];
  const advice = next === undefined ? '' : `\n         ${paint.dim('→')} ${printable(next)}`;
  return `${mark}  ${printable(what)}${advice}`;
}
