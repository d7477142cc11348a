import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decision, Evidence, ProofRecord } from '../../agent/core/model.ts';
import { replay } from '../../agent/core/tune/replay.ts';
import { realEngine } from '../sim/real_engine.ts';
import { caseOptions } from '../sim/regression.ts';
import { runChecked } from '../sim/trial_run.ts';
import { Loop } from './engine_loop.ts';

/** Through text, as in the journal. */
function journal(decisions: readonly Decision[]): Decision[] {
  return JSON.parse(JSON.stringify(decisions));
}

const loop = new Loop({ latencyS: ({ batch = 1 }) => 0.05 / batch ** 0.3 }).open();
for (const batch of [40, 3, 20, 50]) {
  const { proposalId } = loop.operator({ action: 'propose', component: 'c', changes: { batch }, reason: 'to see' });
  loop.run(1_500, ({ kind, ...about }) => about.proposalId === proposalId && kind !== 'trial_started');
}
const recorded = journal(loop.decisions);

function withEvidence(change: (evidence: Evidence) => Evidence): readonly Decision[] {
  return journal(recorded).map((decision) =>
    decision.kind === 'promoted' && decision.evidence !== undefined
      ? { ...decision, evidence: change(decision.evidence) }
      : decision,
  );
}

function withProof(evidence: Evidence, change: (proof: ProofRecord) => Partial<ProofRecord>): Evidence {
  const { proof } = evidence;
  return proof === undefined ? evidence : { ...evidence, proof: { ...proof, ...change(proof) } };
}

describe('replay', () => {
  test('finds every decision as it was recorded', () => {
    const { replayed, compared, mismatches, unrecorded } = replay(recorded);
    expect(recorded.filter(({ kind }) => kind === 'promoted').length).toBeGreaterThan(0);
    expect(replayed).toBeGreaterThan(1);
    expect(compared).toBeGreaterThan(50);
    expect([mismatches, unrecorded]).toEqual([[], 0]);
  });

  test('also across a lossy network, a dying process and killed agents', () => {
    const options = caseOptions({ scenario: 'p10-lossy', seed: 3, runMs: 86_400_000, eager: true });
    const { result } = runChecked({ ...options, createEngine: realEngine, compareEveryTicks: 50 });
    const { replayed, mismatches } = replay(journal(result.decisions));
    expect(result.agentStarts).toBeGreaterThan(1);
    expect(replayed).toBeGreaterThan(0);
    expect(mismatches).toEqual([]);
  });

  test.each<[string, (evidence: Evidence) => Evidence, string]>([
    [
      'a window',
      (e) => ({
        ...e,
        blocks: e.blocks.map((b, i) => (i === 0 ? { ...b, y: b.y.map((y, n) => (n === 0 ? y + 1e-9 : y)) } : b)),
      }),
      'difference of block',
    ],
    ['a draw', (e) => withProof(e, (proof) => ({ coinSeed: proof.coinSeed + 1 })), 'order of block'],
    ['the budget', (e) => withProof(e, ({ budget }) => ({ budget: { ...budget, trials: 0, q: 0.5 } })), 'level'],
    ['the level', (e) => withProof(e, ({ rule }) => ({ rule: { ...rule, alpha: 0.2 } })), 'level'],
    ['the verdict', (e) => withProof(e, () => ({ verdict: 'futile' })), 'verdict'],
    [
      'the interval',
      (e) => (e.effect === undefined ? e : { ...e, effect: { ...e.effect, high: e.effect.high - 1e-15 } }),
      'high',
    ],
    ['the harm', (e) => ({ ...e, harmSpent: (e.harmSpent ?? 0) + 1e-9 }), 'harm spent'],
    ['a block left out', (e) => ({ ...e, blocks: e.blocks.slice(1) }), 'order of block'],
  ])('finds out that somebody has changed %s', (_, change, what) => {
    const found = replay(withEvidence(change)).mismatches.map((mismatch) => mismatch.what);
    expect(found.some((name) => name.startsWith(what))).toBe(true);
  });

  test('finds out that a proof was left out of the journal', () => {
    const proofs = recorded.filter(({ kind, evidence }) => kind !== 'trial_started' && evidence?.proof !== undefined);
    const [, second] = proofs;
    const without = recorded.filter(({ trialId }) => trialId !== second?.trialId);
    if (proofs.length < 3) throw new Error('too few proofs to leave one out');
    expect(replay(without).mismatches.map(({ what }) => what)).toContain('proofs before this one');
  });

  test('says what it cannot judge, and survives anything that was once a decision', () => {
    const old = withEvidence(({ proof: _, ...rest }) => rest);
    expect(replay(old).unrecorded).toBeGreaterThan(0);
    expect(
      replay(old).mismatches.filter(({ what }) => what !== 'proofs before this one' && !what.startsWith('disc')),
    ).toEqual([]);
    fc.assert(
      fc.property(fc.shuffledSubarray([...recorded]), (some) => {
        expect(replay(some).compared).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
