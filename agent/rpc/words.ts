import { Atomicity, KnobState, OnExpiry } from '../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { ApplyClass, KnobMode, KnobRole, Scale, Tier } from '../gen/performance_optimizer/control/v1/knob_pb.ts';

/** The core says a word where the wire says a number; this is the dictionary of one such pair. */
interface Words<W extends string, E extends number> {
  encode(word: W): E;
  /** `undefined` for a number that this build does not know. */
  decode(number: number): W | undefined;
}

function words<const W extends string, const E extends number>(table: Readonly<Record<W, E>>): Words<W, E> {
  const byNumber = new Map<number, W>();
  for (const word in table) byNumber.set(table[word], word);
  return { encode: (word) => table[word], decode: (number) => byNumber.get(number) };
}

export const tierWords = words({
  critical: Tier.CRITICAL,
  stable: Tier.STABLE,
  advanced: Tier.ADVANCED,
  experimental: Tier.EXPERIMENTAL,
  research: Tier.RESEARCH,
});

export const modeWords = words({
  observe: KnobMode.OBSERVE,
  recommend: KnobMode.RECOMMEND,
  approve: KnobMode.APPROVE,
  auto: KnobMode.AUTO,
});

export const roleWords = words({
  timeout: KnobRole.TIMEOUT,
  concurrency: KnobRole.CONCURRENCY,
  batch: KnobRole.BATCH,
  queue: KnobRole.QUEUE,
  memory: KnobRole.MEMORY,
  priority: KnobRole.PRIORITY,
  threads: KnobRole.THREADS,
  other: KnobRole.OTHER,
});

export const applyClassWords = words({
  hot: ApplyClass.HOT,
  drain: ApplyClass.DRAIN,
  reload: ApplyClass.RELOAD,
  restart: ApplyClass.RESTART,
});

export const scaleWords = words({ linear: Scale.LINEAR, log: Scale.LOG });

export const atomicityWords = words({ all: Atomicity.ALL, per_knob: Atomicity.PER_KNOB });

export const onExpiryWords = words({
  hold: OnExpiry.HOLD,
  baseline: OnExpiry.BASELINE,
  last_good: OnExpiry.LAST_GOOD,
});

export const stateWords = words({
  applying: KnobState.APPLYING,
  draining: KnobState.DRAINING,
  applied: KnobState.APPLIED,
  rejected_permanent: KnobState.REJECTED_PERMANENT,
  rejected_transient: KnobState.REJECTED_TRANSIENT,
  superseded: KnobState.SUPERSEDED,
  expired: KnobState.EXPIRED,
  rolled_back: KnobState.ROLLED_BACK,
});
