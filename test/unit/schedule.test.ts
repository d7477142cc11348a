import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createSchedule } from '../../agent/adapters/schedule.ts';

const EVERY_SECOND = '* * * * * *';

function logged() {
  const lines: Record<string, unknown>[] = [];
  return { lines, log: pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) }) };
}

test('a job that fails is logged and runs again, and disturbs no other', async () => {
  const { lines, log } = logged();
  const twice = Promise.withResolvers<void>();
  const other = Promise.withResolvers<void>();
  let runs = 0;
  const schedule = createSchedule(
    [
      {
        name: 'failing',
        cron: EVERY_SECOND,
        run: () => {
          if (++runs === 2) twice.resolve();
          throw new Error('broken');
        },
      },
      { name: 'other', cron: EVERY_SECOND, run: () => other.resolve() },
    ],
    log,
  );
  await schedule.start();
  await Promise.all([twice.promise, other.promise]);
  await schedule.stop(AbortSignal.timeout(10_000));
  expect(lines.filter(({ job }) => job === 'failing')).toMatchObject([
    { err: { message: 'broken' } },
    { err: { message: 'broken' } },
  ]);
});

test('a job that still runs is not started twice, and stop waits for it, but not beyond the deadline', async () => {
  const { lines, log } = logged();
  const thrice = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let slowRuns = 0;
  let quickRuns = 0;
  const schedule = createSchedule(
    [
      {
        name: 'slow',
        cron: EVERY_SECOND,
        run: () => {
          slowRuns++;
          return release.promise;
        },
      },
      {
        name: 'quick',
        cron: EVERY_SECOND,
        run: () => {
          if (++quickRuns === 3) thrice.resolve();
        },
      },
    ],
    log,
  );
  await schedule.start();
  await thrice.promise;
  expect(slowRuns).toBe(1);
  expect(lines.some(({ job, level }) => job === 'slow' && level === 40)).toBe(true);

  await schedule.stop(AbortSignal.abort());
  let isStopped = false;
  const stop = schedule.stop(AbortSignal.timeout(60_000)).then(() => {
    isStopped = true;
  });
  await new Promise(setImmediate);
  expect(isStopped).toBe(false);
  release.resolve();
  await stop;
});
