import { writeSync } from 'node:fs';
import { startUpstream } from './upstream_rig.ts';

// Leaves requests with an upstream as fast as it can, says each one once it is acknowledged, and goes on until it is killed.
const [protocol, endpoint = '', path = '', round = ''] = process.argv.slice(2);
const { upstream } = await startUpstream(
  { protocol: protocol === 'http' ? 'http' : 'grpc', endpoint },
  { queue: { path } },
);
writeSync(1, 'ready\n');
for (let n = 0; ; n += 5) {
  const ids = Array.from({ length: 5 }, (_, k) => `${round}-${n + k}`);
  await Promise.all(
    ids.map(async (id, k) => {
      const signal = (['metrics', 'traces', 'logs'] as const)[k % 3] ?? 'logs';
      const kept = await upstream.accept(signal, Buffer.from(`${id} ${'x'.repeat((n * 37) % 4_000)}`), 'protobuf');
      if (kept.state === 'kept') writeSync(1, `${id}\n`);
    }),
  );
}
