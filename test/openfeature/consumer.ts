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

const durationsMs: number[] = [];
let last = '';
let isOver = false;
process.stdin.on('end', () => {
  isOver = true;
});
process.stdin.resume();

async function read(): Promise<void> {
  const start = performance.now();
  const { value, variant } = await client.getNumberDetails(flag, -1);
  durationsMs.push(performance.now() - start);
  const seen = JSON.stringify({ value, variant });
  if (seen !== last) process.stdout.write(`${seen}\n`);
  last = seen;
  if (!isOver) {
    setTimeout(read, 1);
    return;
  }
  const sorted = durationsMs.toSorted((a, b) => a - b);
  const quantile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const report = { reads: sorted.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: sorted.at(-1) };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

await read();
