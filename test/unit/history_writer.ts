/** Keeps one minute after the other until it is killed, and says how many it has kept. */
import { pino } from 'pino';
import { openHistory } from '../../agent/adapters/history/sqlite_history.ts';
import { HOUR_MS, MINUTE_MS } from '../../agent/core/history/rollup.ts';
import { minuteOf, T0 } from './history_rows.ts';

const [, , path = ''] = process.argv;
const log = pino({ level: 'silent' });
const history = openHistory({ path, log, maxBytes: 2 ** 26, retentionMs: 1_000 * HOUR_MS, nowMs: T0 });
for (let minute = 0; ; minute++) {
  await history.keep([minuteOf(minute, 10, 5)], T0 + minute * MINUTE_MS);
  process.send?.(minute + 1);
}
