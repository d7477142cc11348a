/**
 * Is a receiver what OTLP says? `npm run -s conformance -- --grpc 127.0.0.1:4317 --http 127.0.0.1:4318 [--json]`.
 *
 * A client and nothing else: it can be pointed at any OTLP receiver. One row for each rule of a receiver (R1 to R14) and
 * each rule of the data model that shows in what is answered (M1 to M10): pass, fail, or unseen where a client cannot
 * tell. It exits with 1 when a rule fails.
 *
 * `--max-mib` is the receiver's limit of a request (64), `--overload-mib` how much is sent at once to see a refusal (four
 * times that), and `--pid` the process to end with SIGTERM for the rule about shutdown, which is checked last.
 */
import { parseArgs } from 'node:util';
import { conformance } from './conformance/run.ts';

const { values } = parseArgs({
  options: {
    grpc: { type: 'string' },
    http: { type: 'string' },
    json: { type: 'boolean', default: false },
    'max-mib': { type: 'string', default: '64' },
    'overload-mib': { type: 'string' },
    pid: { type: 'string' },
  },
});
if (values.grpc === undefined && values.http === undefined) {
  console.error('give --grpc ADDRESS, --http ADDRESS or both');
  process.exit(2);
}

/** Ends the process and waits until it is gone. */
async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  const isThere = (): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      // Nobody has that number any more.
      return false;
    }
  };
  while (isThere()) await new Promise((again) => setTimeout(again, 20));
}

const maxBytes = Number(values['max-mib']) * 1024 * 1024;
const rows = await conformance({
  grpc: values.grpc,
  http: values.http,
  maxBytes,
  overloadBytes: values['overload-mib'] === undefined ? 4 * maxBytes : Number(values['overload-mib']) * 1024 * 1024,
  stop: values.pid === undefined ? undefined : () => stop(Number(values.pid)),
});
const failed = rows.filter(({ result }) => result === 'fail').length;
if (values.json) console.log(JSON.stringify({ rows, passed: rows.length - failed, failed }, null, 2));
else
  for (const { id, result, rule, evidence } of rows)
    console.log(`${result.padEnd(6)} ${id.padEnd(4)} ${rule}\n            ${evidence}`);
process.exitCode = failed > 0 ? 1 : 0;
