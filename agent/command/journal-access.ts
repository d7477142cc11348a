import type { JournalReader } from '../adapters/journal/journal.ts';
import { openJournalReader } from '../adapters/journal/reader.ts';
import { configOf } from './settings.ts';
import { type Given, optionOf, type Shell } from './shell.ts';

export const STATE_OPTION = { state: { type: 'string', short: 's' } } as const;

/** Reads the state file of `--state`, else of the configuration, while an agent runs or not. */
export async function withJournal<T>(given: Given, shell: Shell, read: (journal: JournalReader) => T): Promise<T> {
  const journal = openJournalReader(optionOf(given, 'state') ?? configOf(given, shell).config.state.path);
  try {
    return read(journal);
  } finally {
    journal.close();
  }
}
