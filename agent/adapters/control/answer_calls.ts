import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { Answers, OptimizationState } from '../../core/answers.ts';
import { GetProfileResponseSchema } from '../../gen/performance_optimizer/control/v1/profile_pb.ts';
import type { TuningService } from '../../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { encodeAnalytics, encodeHealthReport } from '../../rpc/answers_codec.ts';
import { encodeProfile } from '../../rpc/profile_codec.ts';
import type { Handlers } from '../../rpc/service_definition.ts';
import { quote } from './hello.ts';
import type { ControlPorts } from './ports.ts';
import { name, Refused, unary } from './unary.ts';

/** What may be asked of the engine without asking it to do anything. */
export function answerCalls({
  answers,
  nowMs,
}: Pick<ControlPorts, 'answers' | 'nowMs'>): Pick<
  Handlers<typeof TuningService>,
  'getProfile' | 'getAnalytics' | 'checkHealth'
> {
  return {
    getProfile: unary(({ component }) => {
      const profile = answers.profile(name('component', component));
      if (profile === undefined) throw unknown(answers, component);
      return create(GetProfileResponseSchema, { profile: encodeProfile(profile) });
    }),
    getAnalytics: unary(() => encodeAnalytics(answers.analytics(nowMs()))),
    checkHealth: unary(() => encodeHealthReport(answers.health(nowMs()))),
  };
}

/** Refuses a component that is not known, with those that are. */
export function mustKnow(answers: Answers, component: string): OptimizationState {
  const state = answers.optimization(component);
  if (state === undefined) throw unknown(answers, component);
  return state;
}

function unknown({ components }: Answers, component: string): Refused {
  const known = components.map(quote).join(', ') || 'none yet';
  return new Refused(status.NOT_FOUND, `unknown component ${quote(component)}; known: ${known}`);
}
