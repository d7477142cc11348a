import { connectTuner } from '../../agent/client/typescript/tuner.ts';
import type { BatchPolicy } from './batcher.ts';
import { COMPONENT } from './names.ts';

/** The server's knobs as the batcher reads them, and a hand on them for whoever runs the server. */
export interface Knobs {
  readonly policy: () => BatchPolicy;
  read(): Readonly<Record<string, number>>;
  /** Sets values by hand, from JSON such as `{"max_batch_size": 8}`. Returns what is wrong with it. */
  setByHand(json: string): string | undefined;
  close(): void;
}

/**
 * Declares the knobs to the agent, if there is one: the server runs the same without. The defaults are timid on purpose: one request
 * at a time, as an untuned server does.
 *
 * @param changed called after any of them moved.
 */
export async function openKnobs(
  agentAddress: string | undefined,
  maxConcurrency: number,
  changed: () => void,
): Promise<Knobs> {
  const tuner = await connectTuner({
    component: COMPONENT,
    tier: 'experimental',
    ...(agentAddress !== undefined && { address: agentAddress }),
  });

  // A new value counts from the next batch on. What the old one had let pile up must be served before the metrics show
  // the new one alone: no more than the 250 ms that anyone may wait, and as long again to be on the safe side.
  const settleMs = 500;
  const knobs = {
    max_batch_size: tuner.int('max_batch_size', {
      description: 'Most clips in one run of the model.',
      unit: '{clip}',
      role: 'batch',
      applies: 'hot',
      default: 1,
      min: 1,
      max: 64,
      scale: 'log',
      settleMs,
    }),
    batch_wait_ms: tuner.int('batch_wait_ms', {
      description: 'How long a batch that is not full waits for more clips, from its first one on.',
      unit: 'ms',
      role: 'batch',
      applies: 'hot',
      default: 0,
      min: 0,
      max: 10,
      settleMs,
    }),
    concurrency: tuner.int('concurrency', {
      description: 'Model runs at the same time, each on its own thread.',
      unit: '{run}',
      role: 'concurrency',
      applies: 'hot',
      default: 1,
      min: 1,
      max: maxConcurrency,
      settleMs,
    }),
    queue_timeout_ms: tuner.int('queue_timeout_ms', {
      description: 'A request that has waited this long for a model run is answered with 503.',
      unit: 'ms',
      role: 'timeout',
      applies: 'hot',
      default: 250,
      min: 20,
      max: 10_000,
      scale: 'log',
      settleMs,
    }),
  };
  // Told just before the value counts: what waits is looked at once it does.
  for (const knob of Object.values(knobs)) knob.onChange(() => void setImmediate(changed));

  return {
    policy: () => ({
      maxBatchSize: knobs.max_batch_size.value,
      batchWaitMs: knobs.batch_wait_ms.value,
      concurrency: knobs.concurrency.value,
      queueTimeoutMs: knobs.queue_timeout_ms.value,
    }),
    read: () => Object.fromEntries(Object.entries(knobs).map(([id, knob]) => [id, knob.value])),
    setByHand(json) {
      try {
        const wanted: unknown = JSON.parse(json);
        if (typeof wanted !== 'object' || wanted === null) return 'expected an object such as {"max_batch_size": 8}';
        for (const [id, value] of Object.entries(wanted)) {
          const knob = Object.entries(knobs).find(([known]) => known === id)?.[1];
          if (knob === undefined) return `unknown knob ${id}; known: ${Object.keys(knobs).join(', ')}`;
          knob.set(value);
        }
        return undefined;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
    close: () => tuner.close(),
  };
}
