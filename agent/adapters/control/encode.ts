/** What the agent says to a process, as messages; commands are written in rpc/prepared.ts. */
import { create } from '@bufbuild/protobuf';
import type { KnobMode } from '../../core/model.ts';
import {
  type ConnectResponse,
  ConnectResponseSchema,
} from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { encodeDurationMs } from '../../rpc/knob_codec.ts';
import { modeWords } from '../../rpc/words.ts';
import type { ControlEffect } from './ports.ts';

export function encodeWelcome(
  epoch: number,
  heartbeatIntervalMs: number,
  modes: ReadonlyMap<string, KnobMode>,
): ConnectResponse {
  const value = {
    epoch: BigInt(epoch),
    heartbeatInterval: encodeDurationMs(heartbeatIntervalMs),
    modes: Object.fromEntries([...modes].map(([knob, mode]) => [knob, modeWords.encode(mode)])),
  };
  return create(ConnectResponseSchema, { message: { case: 'welcome', value } });
}

export function encodeRenewal({ epoch, revision, leaseTtlMs }: ControlEffect & { kind: 'renewal' }): ConnectResponse {
  const value = { epoch: BigInt(epoch), revision: BigInt(revision), leaseTtl: encodeDurationMs(leaseTtlMs) };
  return create(ConnectResponseSchema, { message: { case: 'leaseRenewal', value } });
}

export function encodeRevoke({ epoch, revision, knobs, reason }: ControlEffect & { kind: 'revoke' }): ConnectResponse {
  const value = { epoch: BigInt(epoch), revision: BigInt(revision), knobs: [...knobs], reason };
  return create(ConnectResponseSchema, { message: { case: 'revoke', value } });
}

export function encodeReportFullState(reason: string): ConnectResponse {
  return create(ConnectResponseSchema, { message: { case: 'reportFullState', value: { reason } } });
}
