/** `npm run -s bench:forecast -- m4 DIR [--json]` and `-- rates DIR [--json]`. */
import { runM4 } from './forecast/m4.ts';
import { runRates } from './forecast/rates.ts';

const [protocol, dir] = process.argv.slice(2).filter((a) => !a.startsWith('--'));
const run = protocol === 'm4' ? runM4 : protocol === 'rates' ? runRates : undefined;
if (run === undefined || dir === undefined) {
  process.stderr.write('usage: bench:forecast -- m4|rates DIR [--json]\n');
  process.exit(2);
}
const result = run(dir);
// `--json` is one line for machines; without it the same figures, rounded, for reading.
process.stdout.write(
  process.argv.includes('--json')
    ? `${JSON.stringify(result)}\n`
    : `${JSON.stringify(result, (_, v) => (typeof v === 'number' ? Number(v.toPrecision(4)) : v), 2)}\n`,
);
