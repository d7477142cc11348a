/** `npm run -s bench:leaks -- DIR [--json]`: leaks put into real memory series that have none known. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LeakWatch } from '../../agent/core/pattern/memory-leak.ts';
import { spread } from './forecast/metrics.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LIMIT = 100;
/** The machines sit at nine tenths of their memory: scaled to these shares, there is room for a leak. */
const SCALES = [0.4, 0.6];
const START_DAYS = [0.5, 1, 2, 3];
const HOURS_TO_LIMIT = [3, 8, 24, 72, 120];

interface Series {
  readonly name: string;
  readonly atMs: readonly number[];
  readonly value: readonly number[];
}

/** Takes samples; `finding` counts up whenever it says "leak", `news` when it would also tell somebody. */
interface Watch {
  learn(value: number, atMs: number): void;
  readonly news: number;
  readonly finding: unknown;
}

/** The leak's size as a share of the room, at a share `x` of the time to the limit. */
const SHAPES: Readonly<Record<string, (x: number, loadRatio: number) => number>> = {
  linear: (x) => x,
  steps: (x) => Math.floor(x * 20) / 20,
  slowing: (x) => Math.sqrt(x),
  with_load: (x, loadRatio) => x * Math.max(0, 1 + 0.6 * (loadRatio - 1)),
};

const dir = process.argv.slice(2).find((a) => !a.startsWith('--'));
if (dir === undefined) {
  process.stderr.write('usage: bench:leaks -- DIR [--json]\n');
  process.exit(2);
}
const series = read(dir);
const months = series.reduce((sum, s) => sum + (s.atMs.at(-1)! - s.atMs[0]!) / DAY_MS / 30, 0);
const result = {
  protocol:
    `limit ${LIMIT}; series scaled by ${SCALES.join(' and ')}; leaks that would fill the room in ` +
    `${HOURS_TO_LIMIT.join(', ')} h, starting on day ${START_DAYS.join(', ')}; found: reported between the leak's ` +
    'beginning and the moment usage reaches 80 % of the limit. Every series counts as free of leaks in "withoutLeaks".',
  series: series.length,
  machineMonths: months,
  bytesPerSeries: 8 * largestState(),
  leakWatch: judge(ourWatch),
  baselinePredictLinear: judge(predictLinear),
  bySeries: series.map((s) => ({ name: s.name, leaksReported: newsOf(ourWatch(), s, 1) })),
};
process.stdout.write(
  process.argv.includes('--json')
    ? `${JSON.stringify(result)}\n`
    : `${JSON.stringify(result, (_, v) => (typeof v === 'number' ? Number(v.toPrecision(4)) : v), 2)}\n`,
);

function ourWatch(): Watch {
  const leaks = new LeakWatch({ limit: LIMIT, horizonMs: 14 * DAY_MS });
  return {
    news: 0,
    learn(value, atMs) {
      if (leaks.learn(value, atMs) !== undefined) Object.assign(this, { news: this.news + 1 });
    },
    get finding() {
      return leaks.current();
    },
  };
}

/**
 * What is usually run: the straight line through the last six hours reaches the limit within a day (Prometheus's
 * `predict_linear`), looked at every five minutes, silent for a day after each alarm.
 */
function predictLinear(): Watch {
  const times: number[] = [];
  const values: number[] = [];
  let lookedAt = Number.NEGATIVE_INFINITY;
  let quietUntil = Number.NEGATIVE_INFINITY;
  return {
    news: 0,
    finding: 0,
    learn(value, atMs) {
      times.push(atMs);
      values.push(value);
      while (times[0]! < atMs - 6 * HOUR_MS) {
        times.shift();
        values.shift();
      }
      if (atMs - lookedAt < 300_000 || atMs - times[0]! < 5 * HOUR_MS) return;
      lookedAt = atMs;
      const n = times.length;
      const middle = times.reduce((a, t) => a + t, 0) / n;
      const mean = values.reduce((a, v) => a + v, 0) / n;
      const slope =
        times.reduce((a, t, i) => a + (t - middle) * (values[i]! - mean), 0) /
        times.reduce((a, t) => a + (t - middle) ** 2, 0);
      if (mean + slope * (atMs + DAY_MS - middle) < LIMIT) return;
      Object.assign(this, { finding: Number(this.finding) + 1 });
      if (atMs >= quietUntil) Object.assign(this, { news: this.news + 1 });
      quietUntil = atMs + DAY_MS;
    },
  };
}

function judge(make: () => Watch): object {
  return {
    withoutLeaks: [1, ...SCALES].map((scale) => {
      const started = performance.now();
      const alarms = series.reduce((sum, s) => sum + newsOf(make(), s, scale), 0);
      const points = series.reduce((sum, s) => sum + s.value.length, 0);
      return {
        scale,
        alarms,
        perMachineMonth: alarms / months,
        usPerPoint: (1000 * (performance.now() - started)) / points,
      };
    }),
    withLeaks: SCALES.map((scale) => withLeaks(make, scale)),
  };
}

/** Numbers in the largest state that any series leads to. */
function largestState(): number {
  const count = (v: unknown): number =>
    typeof v === 'object' && v !== null ? Object.values(v).reduce<number>((sum, x) => sum + count(x), 0) : 1;
  return Math.max(
    ...series.map((s) => {
      const leaks = new LeakWatch({ limit: LIMIT, horizonMs: 14 * DAY_MS });
      for (const [i, at] of s.atMs.entries()) leaks.learn(s.value[i]!, at);
      return count(leaks.save());
    }),
  );
}

function newsOf(watch: Watch, s: Series, scale: number): number {
  for (const [i, at] of s.atMs.entries()) watch.learn(s.value[i]! * scale, at);
  return watch.news;
}

function withLeaks(make: () => Watch, scale: number): object {
  const rows: { machine: number; hours: number; shape: string; used: number | undefined }[] = [];
  for (const hours of HOURS_TO_LIMIT) {
    for (const [shape, grow] of Object.entries(SHAPES)) {
      for (const startDay of START_DAYS) {
        for (const [i, s] of series.entries()) {
          // Starts spread over two thirds of a day, so that the hours of the day get their share.
          const startMs = (startDay + (i % 20) / 30) * DAY_MS;
          const used = usageWhenFound(make(), s, scale, startMs, hours * HOUR_MS, grow);
          if (used !== 'too_short') rows.push({ machine: i, hours, shape, used });
        }
      }
    }
  }
  const ratio = (part: typeof rows) => part.filter((r) => r.used !== undefined).length / part.length;
  const by = <K extends 'hours' | 'shape'>(key: K) =>
    Object.fromEntries([...new Set(rows.map((r) => r[key]))].map((k) => [k, ratio(rows.filter((r) => r[key] === k))]));
  const used = rows.flatMap((r) => r.used ?? []).sort((a, b) => a - b);
  return {
    scale,
    tried: rows.length,
    foundRatio: ratio(rows),
    overFiveFoldsOfMachines: spread([0, 1, 2, 3, 4].map((f) => ratio(rows.filter((r) => r.machine % 5 === f)))),
    byHoursToLimit: by('hours'),
    byShape: by('shape'),
    medianUsageWhenFound: used[used.length >> 1],
  };
}

/** Usage when the leak was found; undefined: not before 80 % of the limit. */
function usageWhenFound(
  watch: Watch,
  s: Series,
  scale: number,
  startMs: number,
  lengthMs: number,
  grow: (x: number, loadRatio: number) => number,
): number | 'too_short' | undefined {
  const mean = (scale * s.value.reduce((a, b) => a + b, 0)) / s.value.length;
  const beganMs = s.atMs[0]! + startMs;
  let before: unknown;
  for (const [i, at] of s.atMs.entries()) {
    const x = Math.max(0, at - beganMs) / lengthMs;
    const base = s.value[i]! * scale;
    const used = base + (LIMIT - mean) * (x === 0 ? 0 : grow(x, base / mean));
    // Past the limit the process is dead, and the sample that would have shown it never comes.
    if (used >= 0.8 * LIMIT && x > 0) return undefined;
    watch.learn(used, at);
    if (x === 0) before = watch.finding;
    else if (watch.finding !== before) return used;
  }
  return 'too_short';
}

/** `minute,mem_util_percent` CSV, or a value in the named or last column at five-minute steps. */
function read(path: string): Series[] {
  return readdirSync(path)
    .filter((f) => f.endsWith('.csv'))
    .sort()
    .flatMap((name) => {
      const [head = '', ...lines] = readFileSync(join(path, name), 'utf8').trim().split('\n');
      const columns = head.trim().split(',');
      const valueAt = columns.includes('mem_util_percent') ? columns.indexOf('mem_util_percent') : 1;
      const rows = lines.map((l) => l.trim().split(',')).filter((r) => r.length > 1 && r[valueAt] !== '');
      const atMs = rows.map((r, i) => (columns[0] === 'minute' ? Number(r[0]) * 60_000 : i * 300_000));
      return rows.length === 0 ? [] : [{ name, atMs, value: rows.map((r) => Number(r[valueAt])) }];
    });
}
