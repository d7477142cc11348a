import type { JournalReader } from '../adapters/journal/journal.ts';
import type { Decision } from '../core/model.ts';
import { explain } from './explanation.ts';
import { STATE_OPTION, withJournal } from './journal-access.ts';
import { CONFIG_OPTION } from './settings.ts';
import { type Command, CommandError, EXIT, hasFlag, optionOf } from './shell.ts';
import { paint, printable } from './text.ts';

/** Where the beginning of an id is looked for. */
const SEARCHED = 10_000;

export const explainCommand: Command = {
  name: 'explain',
  synopsis: '[DECISION_ID | --last | --trial ID] [--json]',
  summary: 'say what the agent decided, why, and on which evidence',
  details: [
    'Reads the state file, also while the agent runs. DECISION_ID may be shortened as long as it is unique.',
    '  --last         the newest decision; the default',
    '  --trial ID     every decision of a trial, in order',
    '  --json         the whole record: an object, or a list for a trial',
    '  -s, --state    the state file, instead of the one in the configuration',
    '  -c, --config   the configuration file; else PERFOPT_CONFIG, else the defaults',
  ],
  options: {
    ...CONFIG_OPTION,
    ...STATE_OPTION,
    last: { type: 'boolean' },
    trial: { type: 'string' },
    json: { type: 'boolean' },
  },
  arguments: [0, 1],
  async run(given, shell) {
    const [id] = given.positionals;
    const trial = optionOf(given, 'trial');
    if ([id !== undefined, trial !== undefined, hasFlag(given, 'last')].filter(Boolean).length > 1) {
      throw new CommandError('give one of DECISION_ID, --last and --trial', EXIT.usage);
    }
    const found = await withJournal(given, shell, (journal) => find(journal, id, trial));
    if (hasFlag(given, 'json')) {
      shell.out(JSON.stringify(trial === undefined ? found[0] : found, null, 2));
    } else {
      const colours = paint(shell.hasColours);
      shell.out(found.map((decision) => explain(decision, colours)).join('\n\n\n'));
    }
    return EXIT.ok;
  },
};

/** At least one, oldest first. */
function find(journal: JournalReader, id: string | undefined, trialId: string | undefined): readonly Decision[] {
  if (trialId !== undefined) {
    const decisions = journal.decisions({ trialId, limit: SEARCHED }).toReversed();
    if (decisions.length > 0) return decisions;
    throw new CommandError(`no decision of a trial ${printable(trialId)}; \`perfopt decisions\` lists what there is`);
  }
  if (id === undefined) {
    const newest = journal.decisions({ limit: 1 });
    if (newest.length > 0) return newest;
    throw new CommandError('the agent has not decided anything yet');
  }
  const exact = journal.decisions({ id });
  if (exact.length > 0) return exact;
  const begun = journal.decisions({ limit: SEARCHED }).filter((decision) => decision.id.startsWith(id));
  if (begun.length === 1) return begun;
  if (begun.length === 0) {
    throw new CommandError(`no decision ${printable(id)}; \`perfopt decisions\` lists what there is`);
  }
  const some = begun.slice(0, 5).map((decision) => printable(decision.id));
  throw new CommandError(
    `${begun.length} decisions begin with ${printable(id)}: ${some.join(', ')}${begun.length > 5 ? ', …' : ''}`,
  );
}
