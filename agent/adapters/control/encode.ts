/** What the agent says to a process, as messages. */
import { create } from '@bufbuild/protobuf';
import type { Command, KnobMode, KnobSpec } from '../../core/model.ts';
import {
  type ConnectResponse,
  ConnectResponseSchema,
} from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { encodeDurationMs, encodeValue } from '../../rpc/knob_codec.ts';
import { atomicityWords, modeWords, onExpiryWords } from '../../rpc/words.ts';
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

export function encodeCommand(command: Command, nonce: string, specs: readonly KnobSpec[]): ConnectResponse {
  const types = new Map(specs.map((spec) => [spec.id, spec.type]));
  const { rationale } = command;
  const value = {
    commandId: command.commandId,
    epoch: BigInt(command.epoch),
    revision: BigInt(command.revision),
    nonce,
    changes: command.changes.map(({ knob, value, expectedCurrent }) => ({
      knob,
      value: encodeValue(value, types.get(knob)),
      ...(expectedCurrent !== undefined && { expectedCurrent: encodeValue(expectedCurrent, types.get(knob)) }),
    })),
    atomicity: atomicityWords.encode(command.atomicity),
    validateOnly: command.validateOnly,
    leaseTtl: encodeDurationMs(command.leaseTtlMs),
    onExpiry: onExpiryWords.encode(command.onExpiry),
    applyDeadline: encodeDurationMs(command.applyDeadlineMs),
    rationale: {
      strategy: rationale.strategy,
      reason: rationale.reason,
      trialId: rationale.trialId ?? '',
      ...(rationale.expectedEffect !== undefined && { expectedEffect: rationale.expectedEffect }),
      ...(rationale.confidence !== undefined && { confidence: rationale.confidence }),
    },
  };
  return create(ConnectResponseSchema, { message: { case: 'command', value } });
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
