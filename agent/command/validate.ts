import { loadConfig } from '../config/load.ts';
import { type Command, CommandError, EXIT, hasFlag } from './shell.ts';

export const validateCommand: Command = {
  name: 'validate',
  synopsis: 'FILE [--json]',
  summary: 'check a configuration file and list everything that is wrong with it',
  details: [
    'Prints ok, or one line for each problem: file, line, key, what is wrong, what is allowed. Environment variables are put in.',
    '  --json   { "ok": …, "problems": [{ "path", "message", "line" }], "notes": […] }',
  ],
  options: { json: { type: 'boolean' } },
  arguments: [1, 1],
  async run(given, shell) {
    const [path] = given.positionals;
    const loaded = loadConfig(path, shell.environment);
    if (hasFlag(given, 'json')) {
      const problems = loaded.ok ? [] : loaded.problems;
      const notes = loaded.ok ? loaded.notes : [];
      shell.out(JSON.stringify({ ok: loaded.ok, problems, notes }, null, 2));
      return loaded.ok ? EXIT.ok : EXIT.failed;
    }
    if (!loaded.ok) throw new CommandError(loaded.message);
    for (const note of loaded.notes) shell.err(`note: ${note}`);
    shell.out(`${path}: ok`);
    return EXIT.ok;
  },
};
