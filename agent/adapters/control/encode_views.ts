/** What operators are shown, as messages. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Answers } from '../../core/answers.ts';
import type { Decision, Evidence, KnobValue, Setting } from '../../core/model.ts';
import {
  DecisionSchema,
  type EvidenceSchema,
  type ValueChangeSchema,
  type Decision as WireDecision,
} from '../../gen/performance_optimizer/control/v1/decision_pb.ts';
import type { KnobStatusSchema } from '../../gen/performance_optimizer/control/v1/knob_status_pb.ts';
import {
  type ComponentStateSchema,
  type GetSnapshotResponse,
  GetSnapshotResponseSchema,
  type TrialStateSchema,
} from '../../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { encodeOptimization } from '../../rpc/answers_codec.ts';
import { encodeSpec, encodeTimeMs, encodeValue } from '../../rpc/knob_codec.ts';
import { modeWords, tierWords } from '../../rpc/words.ts';
import type { ComponentSnapshot, KnobSnapshot, Snapshot, TrialSnapshot } from './ports.ts';

/** `component` empty: all of them. */
export function encodeSnapshot(
  epoch: number,
  snapshot: Snapshot,
  answers: Answers,
  nowMs: number,
  component: string,
): GetSnapshotResponse {
  const shown = snapshot.components.filter((entry) => component === '' || entry.component === component);
  return create(GetSnapshotResponseSchema, {
    time: encodeTimeMs(snapshot.atMs),
    epoch: BigInt(epoch),
    frozen: snapshot.frozen,
    components: shown.map((entry) => encodeComponent(entry, answers)),
    figures: { ...answers.figures(nowMs) },
  });
}

function encodeComponent(entry: ComponentSnapshot, answers: Answers): MessageInitShape<typeof ComponentStateSchema> {
  const optimization = answers.optimization(entry.component);
  return {
    component: entry.component,
    tier: tierWords.encode(entry.tier),
    connected: entry.connected,
    frozen: entry.frozen,
    knobs: entry.knobs.map(encodeKnob),
    ...(entry.openTrial && { openTrial: encodeTrial(entry.openTrial) }),
    ...(optimization !== undefined && { optimization: encodeOptimization(optimization) }),
    revisions: entry.revisions.map(({ revision, atMs, decisionId = '', setting }) => ({
      revision: BigInt(revision),
      time: encodeTimeMs(atMs),
      decisionId,
      setting: encodeSetting(setting, entry.knobs),
    })),
    proven: entry.proven.map(({ id, atMs, trialId, strategy, setting, objectives }) => ({
      ...{ point: id, time: encodeTimeMs(atMs), trialId, strategy },
      setting: encodeSetting(setting, entry.knobs),
      objectives: { ...objectives },
    })),
    proposals: entry.proposals.map(({ id, strategy, atMs, setting, reason, approvedBy = '' }) => ({
      proposalId: id,
      strategy,
      time: encodeTimeMs(atMs),
      setting: encodeSetting(setting, entry.knobs),
      reason,
      approvedBy,
    })),
  };
}

function encodeSetting(setting: Setting, knobs: readonly KnobSnapshot[]) {
  const types = new Map(knobs.map(({ spec }) => [spec.id, spec.type]));
  return Object.fromEntries(Object.entries(setting).map(([id, value]) => [id, encodeValue(value, types.get(id))]));
}

export function encodeKnob(knob: KnobSnapshot): MessageInitShape<typeof KnobStatusSchema> {
  const { spec } = knob;
  return {
    spec: encodeSpec(spec),
    desired: encodeValue(knob.desired, spec.type),
    ...(knob.effective !== undefined && { effective: encodeValue(knob.effective, spec.type) }),
    mode: modeWords.encode(knob.mode),
    pinned: knob.pinned,
    attemptedRevision: BigInt(knob.attemptedRevision),
    effectiveRevision: BigInt(knob.effectiveRevision),
    lastError: knob.lastError ?? '',
  };
}

function encodeTrial(trial: TrialSnapshot): MessageInitShape<typeof TrialStateSchema> {
  const { trialId, strategy, blocks } = trial;
  return {
    trialId,
    strategy,
    blocks,
    startTime: encodeTimeMs(trial.startMs),
    changes: trial.changes.map(encodeChange),
  };
}

export function encodeDecision(decision: Decision): WireDecision {
  return create(DecisionSchema, {
    id: decision.id,
    time: encodeTimeMs(decision.atMs),
    component: decision.component,
    kind: decision.kind,
    strategy: decision.strategy ?? '',
    trialId: decision.trialId ?? '',
    proposalId: decision.proposalId ?? '',
    by: decision.by ?? '',
    changes: decision.changes.map(encodeChange),
    reason: decision.reason,
    ...(decision.evidence && { evidence: encodeEvidence(decision.evidence) }),
  });
}

export function encodeChange(change: {
  readonly knob: string;
  readonly from: KnobValue;
  readonly to: KnobValue;
}): MessageInitShape<typeof ValueChangeSchema> {
  return { knob: change.knob, from: encodeValue(change.from), to: encodeValue(change.to) };
}

function encodeEvidence(evidence: Evidence): MessageInitShape<typeof EvidenceSchema> {
  return {
    objective: { ...evidence.objective },
    blocks: evidence.blocks.map(({ order, startMs, endMs, y, difference }) => ({
      order,
      start: encodeTimeMs(startMs),
      end: encodeTimeMs(endMs),
      y: [...y],
      difference,
    })),
    signals: { ...evidence.signals },
    alternatives: [...evidence.alternatives],
    ...(evidence.effect && { effect: { ...evidence.effect } }),
    ...(evidence.harmSpent !== undefined && { harmSpent: evidence.harmSpent }),
  };
}
