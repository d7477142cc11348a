import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { KnobValue, OperatorAction, Setting } from '../../core/model.ts';
import { OptimizeResponseSchema } from '../../gen/performance_optimizer/control/v1/analytics_pb.ts';
import {
  AcknowledgeAnomalyResponseSchema,
  SilenceAnomaliesResponseSchema,
} from '../../gen/performance_optimizer/control/v1/insight_pb.ts';
import {
  type ProposedValue,
  ProposeResponseSchema,
  RollbackResponseSchema,
} from '../../gen/performance_optimizer/control/v1/proposal_pb.ts';
import { ChooseResponseSchema } from '../../gen/performance_optimizer/control/v1/proven_setting_pb.ts';
import {
  ApproveResponseSchema,
  ExplainDecisionResponseSchema,
  FreezeResponseSchema,
  ListDecisionsResponseSchema,
  PinResponseSchema,
  RejectResponseSchema,
  SetModeResponseSchema,
  type TuningService,
  UnfreezeResponseSchema,
  UnpinResponseSchema,
} from '../../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { encodeOptimization } from '../../rpc/answers_codec.ts';
import { decodeDurationMs, decodeInteger, decodeTimeMs, decodeValue } from '../../rpc/knob_codec.ts';
import type { Handlers } from '../../rpc/service_definition.ts';
import { modeWords } from '../../rpc/words.ts';
import { queryAllocation } from './allocation_query.ts';
import { answerCalls, mustKnow } from './answer_calls.ts';
import { encodeDecision, encodeSnapshot } from './encode_views.ts';
import { quote } from './hello.ts';
import { queryHistory } from './history_query.ts';
import { insightCalls } from './insight_calls.ts';
import type { OperatorCalls } from './operator_calls.ts';
import type { ControlPorts } from './ports.ts';
import { listRecommendations } from './recommendation_query.ts';
import type { Taps } from './taps.ts';
import { BadRequest, MAX_NAME, name, Refused, text, unary } from './unary.ts';
import type { Watchers } from './watchers.ts';

const DEFAULT_DECISIONS = 100;
const MAX_DECISIONS = 1_000;
const MAX_BY = 128;
const MAX_REASON = 1_024;
const MAX_CHANGES = 256;

/** What every request that changes something says of itself. */
interface Asker {
  readonly by: string;
  readonly validateOnly: boolean;
}

/** What operators may ask and do. Asking reads what the engine says; doing goes through its inbox. */
export function tuningService(
  epoch: number,
  ports: ControlPorts,
  calls: OperatorCalls,
  watchers: Watchers,
  taps: Taps,
): Handlers<typeof TuningService> {
  const act = async ({ by, validateOnly }: Asker, action: OperatorAction) => {
    const answer = await calls.ask(text('by', by || 'operator', MAX_BY), action, validateOnly);
    if (!answer.ok) throw new Refused(answer.code, answer.message);
    const { message, proposalId, decisionId } = answer;
    return {
      message,
      ...(proposalId !== undefined && { proposalId }),
      ...(decisionId !== undefined && { decisionId }),
    };
  };
  return {
    getSnapshot: unary(({ component }) =>
      encodeSnapshot(epoch, ports.snapshot(), ports.answers, ports.nowMs(), component),
    ),
    ...answerCalls(ports),
    ...insightCalls(ports),
    optimize: unary(async ({ component, ...asker }) => {
      const action = { action: 'optimize' as const, component: name('component', component) };
      mustKnow(ports.answers, component);
      const { message } = await act(asker, action);
      const standing = encodeOptimization(mustKnow(ports.answers, component));
      return create(OptimizeResponseSchema, { message, standing });
    }),
    listDecisions: unary(({ component, limit, since, trialId }) => {
      const decisions = ports.decisions({
        limit: limit === 0 ? DEFAULT_DECISIONS : Math.min(limit, MAX_DECISIONS),
        ...(component !== '' && { component }),
        ...(trialId !== '' && { trialId }),
        ...(since && { sinceMs: decodeTimeMs(since) }),
      });
      const brief = decisions.map(({ evidence, ...rest }) => encodeDecision(rest));
      return create(ListDecisionsResponseSchema, { decisions: brief });
    }),
    explainDecision: unary(({ decisionId }) => {
      const decision = ports.explain(text('decision_id', decisionId, MAX_NAME));
      if (!decision) throw new Refused(status.NOT_FOUND, `there is no decision ${quote(decisionId)}`);
      return create(ExplainDecisionResponseSchema, { decision: encodeDecision(decision) });
    }),
    queryHistory: unary((request) => queryHistory(ports, request)),
    tap: (call) => taps.add(call),
    optimizeResourceAllocation: unary((request) => queryAllocation(ports.resources, request)),
    listRecommendations: unary((request) => listRecommendations(ports.advice, request)),
    watchEvents: (call) => watchers.add(call),
    propose: unary(async ({ component, changes, reason, strategy, rule, ...asker }) => {
      const action = {
        action: 'propose' as const,
        component: name('component', component),
        changes: settingOf(changes),
        ...(strategy !== '' && { strategy: name('strategy', strategy) }),
        ...(rule !== '' && { rule: name('rule', rule) }),
      };
      return create(ProposeResponseSchema, await act(asker, { ...action, reason: text('reason', reason, MAX_REASON) }));
    }),
    rollback: unary(async ({ component, toRevision: wireRevision, toDecision, ...asker }) => {
      const toRevision = decodeInteger(wireRevision);
      if (toRevision === undefined) throw new BadRequest(`to_revision ${wireRevision} is above 2^53 - 1`);
      const action = {
        action: 'rollback' as const,
        component: name('component', component),
        ...(toRevision !== 0 && { toRevision }),
        ...(toDecision !== '' && { toDecision: name('to_decision', toDecision) }),
      };
      return create(RollbackResponseSchema, await act(asker, action));
    }),
    choose: unary(async ({ component, point, ...asker }) => {
      const action = {
        action: 'choose' as const,
        component: name('component', component),
        point: name('point', point),
      };
      return create(ChooseResponseSchema, await act(asker, action));
    }),
    approve: unary(async ({ proposalId, ...asker }) =>
      create(
        ApproveResponseSchema,
        await act(asker, { action: 'approve', proposalId: name('proposal_id', proposalId) }),
      ),
    ),
    reject: unary(async ({ proposalId, reason, ...asker }) => {
      const action = { action: 'reject' as const, proposalId: name('proposal_id', proposalId) };
      return create(RejectResponseSchema, await act(asker, { ...action, reason: text('reason', reason, MAX_REASON) }));
    }),
    setMode: unary(async ({ component, knob, mode: wireMode, ...asker }) => {
      const mode = modeWords.decode(wireMode);
      if (!mode) throw new BadRequest('mode must be one of OBSERVE, RECOMMEND, APPROVE, AUTO');
      const action = { action: 'set_mode' as const, component: name('component', component), mode };
      return create(
        SetModeResponseSchema,
        await act(asker, { ...action, ...(knob !== '' && { knob: name('knob', knob) }) }),
      );
    }),
    pin: unary(async ({ component, knob, value: wireValue, ...asker }) => {
      const value = decodeValue(wireValue);
      if (wireValue && value === undefined)
        throw new BadRequest('value must be finite and, if whole, within ±(2^53 - 1)');
      const action = { action: 'pin' as const, component: name('component', component), knob: name('knob', knob) };
      return create(PinResponseSchema, await act(asker, { ...action, ...(value !== undefined && { value }) }));
    }),
    unpin: unary(async ({ component, knob, ...asker }) => {
      const action = { action: 'unpin' as const, component: name('component', component), knob: name('knob', knob) };
      return create(UnpinResponseSchema, await act(asker, action));
    }),
    silenceAnomalies: unary(async ({ component, metric, duration, ...asker }) => {
      const action = {
        action: 'silence' as const,
        component: name('component', component),
        ...(metric !== '' && { metric: name('metric', metric) }),
        forMs: decodeDurationMs(duration),
      };
      return create(SilenceAnomaliesResponseSchema, await act(asker, action));
    }),
    acknowledgeAnomaly: unary(async ({ component, metric, ...asker }) => {
      const action = { action: 'acknowledge' as const, component: name('component', component) };
      const answer = await act(asker, { ...action, metric: name('metric', metric) });
      return create(AcknowledgeAnomalyResponseSchema, answer);
    }),
    freeze: unary(async ({ component, reason, ...asker }) => {
      const action = { action: 'freeze' as const, reason: text('reason', reason, MAX_REASON) };
      return create(FreezeResponseSchema, await act(asker, { ...action, ...where(component) }));
    }),
    unfreeze: unary(async ({ component, ...asker }) =>
      create(UnfreezeResponseSchema, await act(asker, { action: 'unfreeze', ...where(component) })),
    ),
  };
}

function settingOf(changes: readonly ProposedValue[]): Setting {
  if (changes.length === 0 || changes.length > MAX_CHANGES)
    throw new BadRequest(`changes has ${changes.length} entries; allowed are 1 to ${MAX_CHANGES}`);
  const setting: Record<string, KnobValue> = {};
  for (const [i, { knob, value: wire }] of changes.entries()) {
    const value = decodeValue(wire);
    if (value === undefined)
      throw new BadRequest(`changes[${i}].value must be set, finite and, if whole, within ±(2^53 - 1)`);
    if (Object.hasOwn(setting, name(`changes[${i}].knob`, knob)))
      throw new BadRequest(`changes[${i}].knob ${quote(knob)} is named twice`);
    setting[knob] = value;
  }
  return setting;
}

function where(component: string): { readonly component?: string } {
  return component === '' ? {} : { component: name('component', component) };
}
