import { MAX_LIMIT } from '../adapters/journal/journal.ts';
import { replay } from '../core/tune/replay.ts';
import { STATE_OPTION, withJournal } from './journal-access.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag, optionOf } from './shell.ts';
import { printable } from './text.ts';

export const replayCommand: Command = {
  name: 'replay',
  synopsis: '[--component NAME] [--trial ID] [--json]',
  summary: 'compute recorded decisions again, bit for bit; exit code 1 where one does not follow from its record',
  details: [
    'Reads the state file, also while the agent runs. From the windows, draws, budget and rule of each proof: its blocks,',
    'stakes, interval, level, verdict and harm.',
    '  --component NAME   of one component',
    '  --trial ID         of one trial',
    '  --json             the result as one object',
    '  -s, --state        the state file, instead of the one in the configuration',
    '  -c, --config       the configuration file; else PERFOPT_CONFIG, else the defaults',
  ],
  options: {
    ...CONFIG_OPTION,
    ...STATE_OPTION,
    component: { type: 'string' },
    trial: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 0],
  async run(given, shell) {
    const component = optionOf(given, 'component');
    const trialId = optionOf(given, 'trial');
    const query = {
      limit: MAX_LIMIT,
      ...(component !== undefined && { component }),
      ...(trialId !== undefined && { trialId }),
    };
    const decisions = await withJournal(given, shell, (journal) => journal.decisions(query));
    if (decisions.length === 0) throw new CommandError('there are no such decisions');
    const result = replay(decisions.toReversed());
    const { replayed, compared, unrecorded, mismatches } = result;
    if (hasFlag(given, 'json')) shell.out(JSON.stringify({ decisions: decisions.length, ...result }, null, 2));
    else {
      for (const { decisionId, what, recorded, recomputed } of mismatches) {
        shell.out(
          `${printable(decisionId)}: ${what} is recorded as ${said(recorded)} and comes to ${said(recomputed)}`,
        );
      }
      const older =
        unrecorded === 0 ? '' : `; ${unrecorded} were recorded by an older build without what a replay needs`;
      const found = mismatches.length === 0 ? 'all as recorded' : `${mismatches.length} are not as recorded`;
      shell.out(
        `${decisions.length} decisions, ${replayed} with a proof, ${compared} figures compared: ${found}${older}`,
      );
    }
    return mismatches.length === 0 ? EXIT.ok : EXIT.failed;
  },
};

function said(value: unknown): string {
  return printable(JSON.stringify(value) ?? 'nothing');
}
