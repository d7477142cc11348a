import { parseArgs } from 'node:util';
import { JournalError } from '../adapters/journal/journal.ts';
import { nearest } from '../config/nearest.ts';
import { allocationCommand } from './allocation.ts';
import { analyticsCommand } from './analytics.ts';
import { anomaliesCommand } from './anomalies.ts';
import { auditCommand } from './audit.ts';
import { completionCommand } from './completion.ts';
import { configCommand } from './config.ts';
import { decisionsCommand } from './decisions.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommand } from './explain.ts';
import { capacityCommand, forecastCommand } from './forecast.ts';
import { healthCommand } from './health.ts';
import { historyCommand } from './history.ts';
import { knobsCommand } from './knobs.ts';
import { operatorCommands } from './operator.ts';
import { paretoCommand } from './pareto.ts';
import { patternsCommand } from './patterns.ts';
import { profileCommand } from './profile.ts';
import { recommendationsCommand } from './recommendations.ts';
import { replayCommand } from './replay.ts';
import { runCommand } from './run.ts';
import { type Command, CommandError, EXIT, type Given, type Shell } from './shell.ts';
import { snapshotCommand } from './snapshot.ts';
import { tapCommand } from './tap.ts';
import { paint } from './text.ts';
import { topCommand } from './top.ts';
import { validateCommand } from './validate.ts';
import { versionCommand } from './version.ts';
import { watchCommand } from './watch.ts';

const COMMANDS: readonly Command[] = [
  runCommand,
  validateCommand,
  configCommand,
  explainCommand,
  replayCommand,
  decisionsCommand,
  topCommand,
  snapshotCommand,
  paretoCommand,
  knobsCommand,
  analyticsCommand,
  profileCommand,
  healthCommand,
  watchCommand,
  historyCommand,
  anomaliesCommand,
  patternsCommand,
  forecastCommand,
  capacityCommand,
  tapCommand,
  allocationCommand,
  recommendationsCommand,
  doctorCommand,
  ...operatorCommands,
  auditCommand,
  completionCommand(() => COMMANDS),
  versionCommand,
];
const NAMES = [...COMMANDS.map(({ name }) => name), 'help'];

/** Runs what `shell.argv` asks for; returns the exit code. Mistakes of the user are printed, bugs are thrown. */
export async function runCommandLine(shell: Shell): Promise<number> {
  const [word, ...rest] = shell.argv;
  try {
    if (word === undefined || word === 'help' || word === '--help' || word === '-h') {
      shell.out(helpFor(word === undefined ? undefined : rest[0], shell));
      return word === undefined ? EXIT.usage : EXIT.ok;
    }
    const command = commandNamed(word === '--version' || word === '-v' ? 'version' : word);
    if (rest.includes('--help') || rest.includes('-h')) {
      shell.out(helpFor(command.name, shell));
      return EXIT.ok;
    }
    return await command.run(parse(command, rest), shell);
  } catch (error) {
    if (error instanceof CommandError) {
      shell.err(error.message);
      return error.code;
    }
    if (error instanceof JournalError) {
      shell.err(error.message);
      return EXIT.failed;
    }
    throw error;
  }
}

function commandNamed(word: string): Command {
  const command = COMMANDS.find(({ name }) => name === word);
  if (command !== undefined) return command;
  const guess = nearest(word, NAMES);
  const hint = guess === undefined ? `commands: ${NAMES.join(', ')}` : `did you mean "${guess}"?`;
  throw new CommandError(`perfopt: unknown command "${word}"; ${hint}`, EXIT.usage);
}

function parse(command: Command, args: readonly string[]): Given {
  const usage = `usage: perfopt ${command.name} ${command.synopsis}`.trimEnd();
  const [least, most] = command.arguments;
  try {
    const given = parseArgs({ args: [...args], options: command.options, allowPositionals: true, strict: true });
    if (given.positionals.length < least || given.positionals.length > most) {
      throw new CommandError(usage, EXIT.usage);
    }
    return given;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const unknown = /^Unknown option '--?([^']+)'/.exec(error.message)?.[1];
    const guess = unknown === undefined ? undefined : nearest(unknown, Object.keys(command.options));
    const reason = unknown === undefined ? error.message : `unknown option "${unknown}"`;
    const hint = guess === undefined ? '' : `; did you mean "--${guess}"?`;
    throw new CommandError(`perfopt ${command.name}: ${reason}${hint}\n${usage}`, EXIT.usage);
  }
}

function helpFor(name: string | undefined, shell: Shell): string {
  const { bold, dim } = paint(shell.hasColours);
  if (name !== undefined && name !== 'help') {
    const { synopsis, summary, details = [] } = commandNamed(name);
    return [`${bold(`perfopt ${name}`)} ${synopsis}`.trimEnd(), '', summary, ...details].join('\n');
  }
  const width = Math.max(...NAMES.map((word) => word.length));
  return [
    `${bold('perfopt')} — tunes the knobs of AI processes and keeps only what it has proven to help`,
    '',
    ...COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'perfopt COMMAND --help says more. Colours are off with NO_COLOR, and where the output is no terminal.',
    dim('Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 128 + N ended at once by a second signal N.'),
  ].join('\n');
}
