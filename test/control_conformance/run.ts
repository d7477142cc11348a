/**
 * The conformance script of the control channel: `npm run -s conformance:control -- --client typescript --json`.
 *
 * One row a rule. Exit status 1 when a rule is broken, 2 when a client cannot be tested here: never silently skipped.
 */
import { parseArgs } from 'node:util';
import { Rehearsal } from './rehearsal.ts';
import { type Rule, readRules } from './schema.ts';
import { CLIENTS, type ClientName, prepare } from './subject.ts';

const { values } = parseArgs({
  options: {
    client: { type: 'string', multiple: true, default: [...CLIENTS] },
    rule: { type: 'string' },
    python: { type: 'string', default: '.venv/bin/python' },
    parallel: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});

interface Row {
  readonly client: string;
  readonly rule: string;
  readonly result: 'pass' | 'fail';
  readonly problem?: string;
}

const file = readRules();
const rules = file.rules.filter(({ rule }) => values.rule === undefined || rule.includes(values.rule));

async function test(client: ClientName): Promise<readonly Row[]> {
  const command = prepare(client, values.python);
  const rows = new Map<Rule, Row>();
  const left = [...rules];
  const worker = async (): Promise<void> => {
    for (let rule = left.shift(); rule !== undefined; rule = left.shift()) {
      const problem = await new Rehearsal(file, command).play(rule);
      const row = { client, rule: rule.rule };
      rows.set(rule, problem === undefined ? { ...row, result: 'pass' } : { ...row, result: 'fail', problem });
      if (problem !== undefined && !values.json) console.error(`${client}: ${rule.rule}\n  ${problem}`);
    }
  };
  await Promise.all(Array.from({ length: Number(values.parallel) }, worker));
  return rules.flatMap((rule) => rows.get(rule) ?? []);
}

function known(name: string): ClientName {
  const client = CLIENTS.find((each) => each === name);
  if (client === undefined) throw new Error(`--client ${name}: expected one of ${CLIENTS.join(', ')}`);
  return client;
}

try {
  const rows: Row[] = [];
  for (const client of values.client.map(known)) rows.push(...(await test(client)));
  if (values.json) console.log(JSON.stringify({ rows }));
  else {
    for (const { client, rule, result } of rows) console.log(`${result}  ${client.padEnd(10)}  ${rule}`);
    console.log(`${rows.filter(({ result }) => result === 'pass').length} of ${rows.length} pass`);
  }
  process.exitCode = rows.some(({ result }) => result === 'fail') ? 1 : 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
