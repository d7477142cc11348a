/**
 * An application that knows nothing of this agent: the stock OpenFeature SDK with flagd's provider. It reads one flag over and
 * over, says each change as a line of JSON, and how long its reads took when its input ends.
 */
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const [resolver = '', address = '', selector = '', flag = ''] = process.argv.slice(2);
const [host = '', port = ''] = address.split(':');

function isResolver(text: string): text is 'in-process' | 'rpc' {
  return text === 'in-process' || text === 'rpc';
}

if (!isResolver(resolver)) throw new Error(`resolver ${resolver}`);
const provider = new FlagdProvider({ resolverType: resolver, host, port: Number(port), selector, cache: 'disabled' });
await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();

const WARM_READS = 200;
const durationsMs: number[] = [];
const cpuMs: number[] = [];
let last = '';
let isOver = false;
process.stdin.on('end', () => {
  isOver = true;
});
process.stdin.resume();

async function read(): Promise<void> {
  const start = performance.now();
  const cpu = process.threadCpuUsage();
  const { value, variant } = await client.getNumberDetails(flag, -1);
  const { user, system } = process.threadCpuUsage(cpu);
  durationsMs.push(performance.now() - start);
  // The first reads are slow because the program is new, not because of the flag.
  if (durationsMs.length > WARM_READS) cpuMs.push((user + system) / 1_000);
  const seen = JSON.stringify({ value, variant });
  if (seen !== last) process.stdout.write(`${seen}\n`);
  last = seen;
  if (!isOver) {
    setTimeout(read, 1);
    return;
  }
  const sorted = durationsMs.toSorted((a, b) => a - b);
  const quantile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const p999CpuMs = cpuMs.toSorted((a, b) => a - b)[Math.floor(0.999 * cpuMs.length)];
  const report = { reads: sorted.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: sorted.at(-1), p999CpuMs };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

await read();
