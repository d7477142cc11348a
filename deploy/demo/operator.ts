import { createRequire } from 'node:module';
import { create } from '@bufbuild/protobuf';
import type { Client, ServiceError } from '@grpc/grpc-js';
import type { Decision, KnobValue, Setting } from '../../agent/core/model.ts';
import type { Decision as WireDecision } from '../../agent/gen/performance_optimizer/control/v1/decision_pb.ts';
import {
  type ComponentState,
  ExplainDecisionRequestSchema,
  FreezeRequestSchema,
  GetSnapshotRequestSchema,
  ListDecisionsRequestSchema,
  PinRequestSchema,
  TuningService,
  UnfreezeRequestSchema,
} from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callUnary } from '../../agent/rpc/calls.ts';
import { decodeTimeMs, decodeValue, encodeValue } from '../../agent/rpc/knob_codec.ts';

// The repository's own grpc-js: the exporter brings another copy into this folder, and one does not take the other's objects.
const grpc: typeof import('@grpc/grpc-js') = createRequire(new URL('../../package.json', import.meta.url))(
  '@grpc/grpc-js',
);

const DEADLINE_MS = 15_000;
const BY = 'demo';

/** What the demo asks of the agent: what any operator can, over the same socket. */
export class Operator {
  readonly #client: Client;
  readonly #component: string;
  readonly #explained = new Map<string, Decision>();

  constructor(target: string, component: string) {
    this.#client = new grpc.Client(target, grpc.credentials.createInsecure());
    this.#component = component;
  }

  /** The component as the agent sees it now; undefined while it has not heard of it or cannot be reached. */
  async state(): Promise<ComponentState | undefined> {
    try {
      const request = create(GetSnapshotRequestSchema, { component: this.#component });
      const { components } = await callUnary(this.#client, TuningService.method.getSnapshot, request, DEADLINE_MS);
      return components.find(({ component }) => component === this.#component);
    } catch (error) {
      if (isServiceError(error) && (error.code === grpc.status.UNAVAILABLE || error.code === grpc.status.NOT_FOUND))
        return undefined;
      throw error;
    }
  }

  /** Whether the agent answers at all. */
  async reachable(): Promise<boolean> {
    try {
      await callUnary(this.#client, TuningService.method.getSnapshot, create(GetSnapshotRequestSchema), DEADLINE_MS);
      return true;
    } catch {
      return false;
    }
  }

  /** Every decision so far with its evidence, oldest first. */
  async decisions(): Promise<readonly Decision[]> {
    const request = create(ListDecisionsRequestSchema, { component: this.#component, limit: 1_000 });
    const { decisions } = await callUnary(this.#client, TuningService.method.listDecisions, request, DEADLINE_MS);
    for (const { id } of decisions) {
      if (this.#explained.has(id)) continue;
      const question = create(ExplainDecisionRequestSchema, { decisionId: id });
      const { decision } = await callUnary(this.#client, TuningService.method.explainDecision, question, DEADLINE_MS);
      if (decision !== undefined) this.#explained.set(id, read(decision));
    }
    // Listed newest first.
    return decisions.flatMap(({ id }) => this.#explained.get(id) ?? []).reverse();
  }

  async freeze(reason: string): Promise<void> {
    const request = create(FreezeRequestSchema, { component: this.#component, reason, by: BY });
    await callUnary(this.#client, TuningService.method.freeze, request, DEADLINE_MS);
  }

  async unfreeze(): Promise<void> {
    const request = create(UnfreezeRequestSchema, { component: this.#component, by: BY });
    await callUnary(this.#client, TuningService.method.unfreeze, request, DEADLINE_MS);
  }

  async pin(setting: Setting): Promise<void> {
    for (const [knob, value] of Object.entries(setting)) {
      const request = create(PinRequestSchema, { component: this.#component, knob, value: encodeValue(value), by: BY });
      await callUnary(this.#client, TuningService.method.pin, request, DEADLINE_MS);
    }
  }

  close(): void {
    this.#client.close();
  }
}

/** What the agent wants each knob to be. */
export function desiredSetting(state: ComponentState): Setting {
  return Object.fromEntries(
    state.knobs.flatMap(({ spec, desired }): [string, KnobValue][] => {
      const value = decodeValue(desired);
      return spec === undefined || value === undefined ? [] : [[spec.id, value]];
    }),
  );
}

function read(wire: WireDecision): Decision {
  const { evidence } = wire;
  const { effect } = evidence ?? {};
  return {
    id: wire.id,
    atMs: wire.time === undefined ? 0 : decodeTimeMs(wire.time),
    component: wire.component,
    // A newer agent may know other kinds; the demo shows them and takes them for none that it knows.
    kind: wire.kind as Decision['kind'],
    ...(wire.strategy !== '' && { strategy: wire.strategy }),
    ...(wire.trialId !== '' && { trialId: wire.trialId }),
    ...(wire.by !== '' && { by: wire.by }),
    changes: wire.changes.flatMap(({ knob, from, to }) => {
      const before = decodeValue(from);
      const after = decodeValue(to);
      return before === undefined || after === undefined ? [] : [{ knob, from: before, to: after }];
    }),
    reason: wire.reason,
    ...(evidence !== undefined && {
      evidence: {
        objective: evidence.objective,
        blocks: [],
        signals: evidence.signals,
        alternatives: evidence.alternatives,
        ...(effect !== undefined && { effect: { ...effect } }),
      },
    }),
  };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error;
}
