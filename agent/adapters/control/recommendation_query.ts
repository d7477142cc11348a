import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Recommendation } from '../../core/advice/recommendation.ts';
import {
  type ListRecommendationsRequest,
  type ListRecommendationsResponse,
  ListRecommendationsResponseSchema,
  type RecommendationSchema,
} from '../../gen/performance_optimizer/control/v1/recommendation_pb.ts';
import { encodeTimeMs } from '../../rpc/knob_codec.ts';
import { encodeChange } from './encode_views.ts';
import type { AdviceReader } from './ports.ts';
import { name } from './unary.ts';

/** What a human should change. */
export function listRecommendations(
  advice: AdviceReader,
  { component }: ListRecommendationsRequest,
): ListRecommendationsResponse {
  const found = advice.list(component === '' ? undefined : name('component', component));
  return create(ListRecommendationsResponseSchema, { recommendations: found.map(encode) });
}

function encode(recommendation: Recommendation): MessageInitShape<typeof RecommendationSchema> {
  const { steps, changes, signals, sinceMs, seenMs, expected, proposalId = '', ...same } = recommendation;
  return {
    ...{ ...same, proposalId },
    steps: steps.map((step) => ({ ...step })),
    changes: changes.map(encodeChange),
    signals: { ...signals },
    since: encodeTimeMs(sinceMs),
    seen: encodeTimeMs(seenMs),
    ...(expected !== undefined && { expected: { ...expected } }),
  };
}
