/** Writes `scenario.schema.json` from the zod schema: `node test/sim/write_schema.ts`. */
import { writeFileSync } from 'node:fs';
import { scenarioJsonSchema } from './scenario.ts';

const file = new URL('scenario.schema.json', import.meta.url);
writeFileSync(file, `${JSON.stringify(scenarioJsonSchema(), null, 2)}\n`);
