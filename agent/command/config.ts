import { renderDefaults, renderJsonSchema } from '../config/reference.ts';
import { type Command, EXIT, hasFlag } from './shell.ts';

export const configCommand: Command = {
  name: 'config',
  synopsis: '[--schema]',
  summary: 'print every configuration key with its meaning and default',
  details: ['  --schema   the JSON Schema instead, for editors'],
  options: { schema: { type: 'boolean' } },
  arguments: [0, 0],
  async run(given, shell) {
    shell.out((hasFlag(given, 'schema') ? renderJsonSchema() : renderDefaults()).trimEnd());
    return EXIT.ok;
  },
};
