import { createServer, type ServerResponse } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { LoadProcess } from '../../deploy/demo/processes.ts';
import { summarise } from '../../deploy/demo/statistics.ts';

const endings: (() => void)[] = [];
afterEach(() => {
  for (const ending of endings.splice(0)) ending();
});

it('keeps sending while the server stands still, and counts the wait of every request from when it was due', async () => {
  const held: ServerResponse[] = [];
  let holding = true;
  let enough: () => void;
  const manyWait = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const http = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      if (!holding) response.end('{}');
      else if (held.push(response) === 100) enough();
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  endings.push(() => {
    http.close();
    http.closeAllConnections();
  });

  const load = await LoadProcess.start(address.port);
  endings.push(() => load.child.kill('SIGKILL'));
  // Wide enough to hold the first requests, which nobody answers yet.
  const measured = load.measure(0, 1_500);
  const sinceMs = performance.now();
  load.run({ counts: [1], replayS: 1, meanPerSecond: 200, peakPerSecond: 200 }, 1);
  // A client that waits for answers would never get here: not one has been given.
  await manyWait;
  const stoodStillMs = performance.now() - sinceMs;
  holding = false;
  for (const response of held) response.end('{}');

  const { latenciesMs, errors } = await measured;
  load.stop();
  expect(errors).toBe(0);
  expect(latenciesMs.length).toBeGreaterThanOrEqual(100);
  const { p50Ms } = summarise(latenciesMs.slice(0, 100));
  // Due evenly over the standstill, a hundred requests have waited half of it at the median; one sent late would show less.
  expect(p50Ms).toBeGreaterThan(0.2 * stoodStillMs);
}, 20_000);
