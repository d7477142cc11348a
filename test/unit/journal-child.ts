import { writeSync } from 'node:fs';
import { pino } from 'pino';
import { openJournal } from '../../agent/adapters/journal/sqlite-journal.ts';

// Commits as fast as it can and says each id once it is acknowledged, until it is killed.
const [path = '', round = ''] = process.argv.slice(2);
const journal = openJournal({ path, log: pino({ level: 'silent' }), maxBytes: 2 ** 26, nowMs: 0 });
writeSync(1, `epoch ${journal.raiseEpoch(0)}\n`);
for (let n = 0; ; n++) {
  const id = `${round}-${n}`;
  journal.commit(
    [{ id, atMs: n, component: 'c', kind: 'promoted', changes: [], reason: 'x'.repeat(n % 3000) }],
    JSON.stringify({ last: id }),
  );
  writeSync(1, `id ${id}\n`);
}
