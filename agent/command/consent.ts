import { CommandError, EXIT, type Given, hasFlag, type Shell } from './shell.ts';

/** For every command that changes something: try it without effect, answer as JSON, and take the question as answered. */
export const CHANGE_OPTIONS = {
  'dry-run': { type: 'boolean', short: 'n' },
  yes: { type: 'boolean', short: 'y' },
  json: { type: 'boolean' },
} as const;

export const CHANGE_HELP: readonly string[] = [
  '  -n, --dry-run   say what would be done, and do nothing',
  '  -y, --yes       do not ask whether it is meant',
  '  --json          { "message", "dryRun", and "proposalId" and "decisionId" where there are }',
];

export function isDryRun(given: Given): boolean {
  return hasFlag(given, 'dry-run');
}

/**
 * Goes on only where a human has said yes, on the command line or to the question. `what` is a clause that says what will
 * be different: "all tuning stops and what is on trial is taken back". A dry run changes nothing, so it is never asked.
 */
export async function mustBeMeant(given: Given, shell: Shell, what: string): Promise<void> {
  if (hasFlag(given, 'yes') || isDryRun(given)) return;
  if (shell.confirm === undefined)
    throw new CommandError(`${what}: nobody is there to ask; say that it is meant with --yes`, EXIT.usage);
  if (!(await shell.confirm(`${what}. Go on? [y/N] `))) throw new CommandError('nothing was done');
}
