import type { Decision, Effectiveness, Evidence, ProofRecord } from '../core/model.ts';
import { KIND_MEANINGS } from './decision-kinds.ts';
import { figure, instant, knobValue, type Paint, percent, printable, table } from './text.ts';

/** A decision for a human: what, why, on which evidence. */
export function explain(decision: Decision, paint: Paint): string {
  const { evidence } = decision;
  const facts: (readonly [string, string])[] = [
    ['component', printable(decision.component)],
    ['time', instant(decision.atMs)],
    ...(decision.strategy === undefined ? [] : [['strategy', printable(decision.strategy)] as const]),
    ...(decision.trialId === undefined ? [] : [['trial', printable(decision.trialId)] as const]),
    ...(decision.proposalId === undefined ? [] : [['proposal', printable(decision.proposalId)] as const]),
    ...(decision.by === undefined ? [] : [['by', printable(decision.by)] as const]),
    ...(decision.changes.length === 0 ? [] : [['change', changesOf(decision)] as const]),
    ['why', printable(decision.reason)],
    ...(evidence === undefined ? [] : evidenceFacts(evidence, paint)),
  ];
  return [
    `${paint.bold(`${decision.kind}`)} ${paint.dim(`— ${KIND_MEANINGS[decision.kind]}`)}`,
    paint.dim(printable(decision.id)),
    '',
    ...facts.map(([name, text]) => `${`${name}:`.padEnd(14)}${text}`),
    ...(evidence === undefined || evidence.blocks.length === 0 ? [] : ['', blockTable(evidence, paint)]),
    ...(evidence === undefined || evidence.alternatives.length === 0
      ? []
      : ['', paint.bold('also considered'), ...evidence.alternatives.map((text) => `- ${printable(text)}`)]),
  ].join('\n');
}

/** `batch_size 1 → 8, batch_wait_ms 0 → 2` */
export function changesOf(decision: Decision): string {
  return decision.changes
    .map(({ knob, from, to }) => `${printable(knob)} ${knobValue(from)} → ${knobValue(to)}`)
    .join(', ');
}

/** `−31.2 % [−38.0 %, −24.1 %]` */
export function effectOf({ estimate, low, high }: Effectiveness): string {
  return `${percent(estimate)} [${percent(low)}, ${percent(high)}]`;
}

function evidenceFacts(evidence: Evidence, paint: Paint): (readonly [string, string])[] {
  const { effect, harmSpent, proof } = evidence;
  const facts: (readonly [string, string])[] = [];
  if (effect !== undefined) {
    const colour = effect.high < 0 ? paint.good : effect.low > 0 ? paint.bad : paint.dim;
    const confidence = `${figure(effect.confidence * 100)} % interval, ${effect.blocks} blocks; lower is better`;
    facts.push(['effect', `${colour(effectOf(effect))} ${paint.dim(`(${confidence})`)}`]);
  }
  if (proof !== undefined) facts.push(['proof', proofOf(proof)]);
  if (harmSpent !== undefined) {
    const windows = evidence.charges === undefined ? '' : ` in ${evidence.charges.length} windows off the incumbent`;
    facts.push(['harm spent', `${figure(harmSpent)} log units × windows${windows}`]);
  }
  const objective = named(evidence.objective, ([, weight]) => weight !== 0);
  if (objective !== '') facts.push(['objective', objective]);
  const signals = named(evidence.signals, () => true);
  if (signals !== '') facts.push(['signals', signals]);
  return facts;
}

/** What the verdict follows from; `perfopt replay` computes it again. */
function proofOf({ rule, budget, logBetter, verdict }: ProofRecord): string {
  const stakes = `${figure(Math.exp(logBetter))} to 1 bet on it, ${figure(1 / rule.alpha)} needed`;
  const kept = budget.discoveries.length;
  return `${verdict} (${stakes}: level ${figure(rule.alpha)}, after ${budget.trials} proofs of which ${kept} found something)`;
}

function named(values: Readonly<Record<string, number>>, keep: (entry: [string, number]) => boolean): string {
  return Object.entries(values)
    .filter(keep)
    .map(([name, value]) => `${printable(name)} ${figure(value)}`)
    .join(', ');
}

/** One row a block: the objective of its windows, in log units, and the relative gain of the candidate (B). */
function blockTable({ blocks }: Evidence, paint: Paint): string {
  const rows = blocks.map(({ order, startMs, endMs, y, difference }, n) => [
    String(n + 1),
    order,
    instant(startMs),
    `${figure((endMs - startMs) / 1000)} s`,
    y.map((value) => value.toFixed(3)).join('  '),
    percent(Math.expm1(difference)),
  ]);
  return table([['block', 'order', 'start', 'length', 'objective of its windows (log)', 'candidate'], ...rows], paint);
}
