import { Cost, meanAndSpread, round, runMonitor, withSurprise } from './alarms.ts';
import { periodicAlarms, randomAlarms, seeded } from './blind.ts';
import { type NabSeries, readNab } from './nab-data.ts';
import { NAB_PROFILES, type NabProfile, nabAt, nabBest, nabCorpus } from './nab-score.ts';
import type { ScoredSeries } from './scores-file.ts';

/** NAB chooses one threshold itself; the alert stage opens from here on, so thresholds above it can be tried. */
const NAB_BAR = 3.7;
const FOLDS = 5;
const RANDOM_RUNS = 20;
const BLIND_PERIODS = [300, 400, 500];

export interface NabOptions {
  readonly budgetPerDay: number;
}

export function benchNab(dir: string, options: NabOptions): { report: object; scored: ScoredSeries[] } {
  const files = readNab(dir);
  if (files.length === 0)
    throw new Error(`${dir}: no series; expected labels/combined_windows.json beside category/*.csv`);
  const cost = new Cost();
  const runs = files.map((file) => runMonitor(file, { kind: 'bar', decades: NAB_BAR }));
  const points = runs.reduce((sum, run) => sum + run.points, 0);
  const microsPerPoint = cost.microsPerPoint(points);
  const scores = runs.map(({ scores }) => scores);
  const budgeted = files.map((file) => runMonitor(file, { kind: 'budget', alertsPerDay: options.budgetPerDay }).alarms);
  const report = {
    bench: 'nab',
    files: files.length,
    windows: files.reduce((sum, file) => sum + file.windows.length, 0),
    rows: files.reduce((sum, file) => sum + file.values.length, 0),
    oneThreshold: perProfile((profile) => {
      const best = nabBest(corpusOf(files, scores), profile);
      return { ...best, raw: round(best.raw), normalised: round(best.normalised, 2) };
    }),
    crossValidated: {
      note: `threshold chosen on ${FOLDS - 1} of ${FOLDS} folds of files, applied to the other`,
      ...perProfile((profile) => crossValidate(files, scores, profile)),
    },
    byBudget: {
      note: `no threshold chosen: the agent's own bar for ${options.budgetPerDay} alerts per series and day`,
      ...perProfile((profile) => round(nabAt(corpusOf(files, budgeted), profile, 1).normalised, 2)),
    },
    blind: {
      ...Object.fromEntries(
        BLIND_PERIODS.map((period) => {
          const corpus = corpusOf(
            files,
            files.map((file) => periodicAlarms(file.values.length, period)),
          );
          return [`every ${period} rows`, perProfile((profile) => round(nabAt(corpus, profile, 1).normalised, 2))];
        }),
      ),
      'random, as many alarms': perProfile((profile) => randomMean(files, scores, profile)),
    },
    falseAlarmsPerSeriesAndDay: falseAlarms(files, scores, budgeted),
    microsPerPoint,
    stateBytesPerSeries: runs[0]!.stateBytes,
  };
  return { report, scored: files.map((file, i) => ({ series: file, scores: () => withSurprise(file, scores[i]!) })) };
}

function perProfile<T>(of: (profile: NabProfile) => T): Record<string, T> {
  return Object.fromEntries(NAB_PROFILES.map((profile) => [profile.name, of(profile)]));
}

function corpusOf(
  files: readonly NabSeries[],
  scores: readonly ArrayLike<number>[],
  keep: (i: number) => boolean = () => true,
) {
  const parts = files.map((file, i) => ({ scores: scores[i]!, windows: file.windows }));
  return nabCorpus(parts.filter((_, i) => keep(i)));
}

function crossValidate(files: readonly NabSeries[], scores: readonly Float64Array[], profile: NabProfile) {
  const held = [];
  for (let fold = 0; fold < FOLDS; fold++) {
    const chosen = nabBest(
      corpusOf(files, scores, (i) => i % FOLDS !== fold),
      profile,
    );
    const applied = nabAt(
      corpusOf(files, scores, (i) => i % FOLDS === fold),
      profile,
      chosen.threshold,
    );
    held.push(applied.normalised);
  }
  return meanAndSpread(held);
}

function randomMean(files: readonly NabSeries[], scores: readonly Float64Array[], profile: NabProfile): number {
  const { threshold } = nabBest(corpusOf(files, scores), profile);
  let alarms = 0;
  let rows = 0;
  for (const file of scores) {
    rows += file.length;
    for (const score of file) if (score >= threshold) alarms++;
  }
  let sum = 0;
  for (let seed = 1; seed <= RANDOM_RUNS; seed++) {
    const random = seeded(seed);
    const blind = files.map((file) => randomAlarms(file.values.length, alarms / rows, random));
    sum += nabAt(corpusOf(files, blind), profile, 1).normalised;
  }
  return round(sum / RANDOM_RUNS, 2);
}

function falseAlarms(files: readonly NabSeries[], scores: readonly Float64Array[], budgeted: readonly Float64Array[]) {
  const { threshold } = nabBest(corpusOf(files, scores), NAB_PROFILES[0]!);
  const rate = (alarmed: (file: number, row: number) => boolean) => {
    let count = 0;
    let days = 0;
    files.forEach((file, f) => {
      days += (file.timesMs.at(-1)! - file.timesMs[0]!) / 86_400_000;
      for (let i = 0; i < file.values.length; i++) {
        if (alarmed(f, i) && !file.windows.some(({ first, last }) => i >= first && i <= last)) count++;
      }
    });
    return round(count / days);
  };
  return {
    atThreshold: rate((f, i) => scores[f]![i]! >= threshold),
    byBudget: rate((f, i) => budgeted[f]![i]! > 0),
  };
}
