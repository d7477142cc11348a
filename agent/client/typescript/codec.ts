/** The only file of the client that knows generated messages: both ways between the wire and what the client thinks in. */
import { create } from '@bufbuild/protobuf';
import type { HeldKnob, KnobChange, KnobMode, KnobSpec, Rationale, Tier } from '../../core/model.ts';
import {
  Capability,
  type Command,
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
} from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import { decodeDurationMs, decodeInteger, decodeValue, encodeSpec, encodeValue } from '../../rpc/knob_codec.ts';
import { resultMessage, type TypeOf } from '../../rpc/prepared.ts';
import { atomicityWords, modeWords, onExpiryWords, tierWords } from '../../rpc/words.ts';
import type { ClientCommand, Report } from './holdings.ts';

/** Who this process is. */
export interface Identity {
  readonly component: string;
  readonly tier: Tier;
  readonly instanceUid: string;
  readonly incarnation: number;
  readonly resource: Readonly<Record<string, string>>;
}

export function encodeHello(
  identity: Identity,
  specs: readonly KnobSpec[],
  held: readonly HeldKnob[],
  lastSeenRevision: number,
): ConnectRequest {
  const types = typesOf(specs);
  const hello = {
    instanceUid: identity.instanceUid,
    incarnation: BigInt(identity.incarnation),
    resource: { ...identity.resource },
    component: identity.component,
    tier: tierWords.encode(identity.tier),
    capabilities: [Capability.VALIDATE_ONLY, Capability.ATOMIC, Capability.ON_EXPIRY],
    knobs: specs.map(encodeSpec),
    held: encodeHeld(held, (knob) => types.get(knob)),
    lastSeenRevision: BigInt(lastSeenRevision),
  };
  return create(ConnectRequestSchema, { message: { case: 'hello', value: hello } });
}

export function encodeReport(report: Report, typeOf: TypeOf): ConnectRequest {
  if (report.kind === 'result') return resultMessage(report.commandId, report.nonce, report.results, typeOf);
  if (report.kind === 'holding') {
    const value = { held: encodeHeld(report.held, typeOf) };
    return create(ConnectRequestSchema, { message: { case: 'holding', value } });
  }
  const value = { knob: report.knob, value: encodeValue(report.value, typeOf(report.knob)) };
  return create(ConnectRequestSchema, { message: { case: 'manualOverride', value } });
}

function encodeHeld(held: readonly HeldKnob[], typeOf: TypeOf) {
  return held.map(({ knob, value, epoch, revision, manual }) => ({
    knob,
    value: encodeValue(value, typeOf(knob)),
    epoch: BigInt(epoch),
    revision: BigInt(revision),
    manual,
  }));
}

export function encodeHeartbeat(seq: number): ConnectRequest {
  return create(ConnectRequestSchema, { message: { case: 'heartbeat', value: { seq: BigInt(seq) } } });
}

export function encodeBye(reason: string): ConnectRequest {
  return create(ConnectRequestSchema, { message: { case: 'bye', value: { reason } } });
}

/** What the agent said, or why it cannot be understood. */
export type Incoming =
  | {
      readonly kind: 'welcome';
      readonly epoch: number;
      readonly heartbeatIntervalMs: number;
      readonly modes: ReadonlyMap<string, KnobMode>;
    }
  | { readonly kind: 'command'; readonly nonce: string; readonly command: ClientCommand }
  | { readonly kind: 'renewal'; readonly epoch: number; readonly revision: number; readonly leaseTtlMs: number }
  | {
      readonly kind: 'revoke';
      readonly epoch: number;
      readonly revision: number;
      readonly knobs: readonly string[];
      readonly reason: string;
    }
  | { readonly kind: 'report_full_state' }
  | { readonly kind: 'unreadable'; readonly problem: string };

export function decodeIncoming({ message }: ConnectResponse): Incoming {
  switch (message.case) {
    case 'welcome': {
      const epoch = decodeInteger(message.value.epoch);
      const heartbeatIntervalMs = decodeDurationMs(message.value.heartbeatInterval);
      if (epoch === undefined || heartbeatIntervalMs <= 0)
        return { kind: 'unreadable', problem: 'a Welcome without a usable epoch or heartbeat interval' };
      const modes = new Map<string, KnobMode>();
      for (const [knob, number] of Object.entries(message.value.modes)) {
        const mode = modeWords.decode(number);
        if (mode) modes.set(knob, mode);
      }
      return { kind: 'welcome', epoch, heartbeatIntervalMs, modes };
    }
    case 'command':
      return decodeCommand(message.value);
    case 'leaseRenewal': {
      const epoch = decodeInteger(message.value.epoch);
      const revision = decodeInteger(message.value.revision);
      if (epoch === undefined || revision === undefined)
        return { kind: 'unreadable', problem: 'a LeaseRenewal without a usable epoch or revision' };
      return { kind: 'renewal', epoch, revision, leaseTtlMs: decodeDurationMs(message.value.leaseTtl) };
    }
    case 'revoke': {
      const epoch = decodeInteger(message.value.epoch);
      const revision = decodeInteger(message.value.revision);
      if (epoch === undefined || revision === undefined)
        return { kind: 'unreadable', problem: 'a Revoke without a usable epoch or revision' };
      return { kind: 'revoke', epoch, revision, knobs: message.value.knobs, reason: message.value.reason };
    }
    case 'reportFullState':
      return { kind: 'report_full_state' };
    default:
      return { kind: 'unreadable', problem: 'a message of a kind that this client does not know' };
  }
}

function decodeCommand(wire: Command): Incoming {
  const epoch = decodeInteger(wire.epoch);
  const revision = decodeInteger(wire.revision);
  const onExpiry = wire.onExpiry === 0 ? 'baseline' : onExpiryWords.decode(wire.onExpiry);
  const atomicity = wire.atomicity === 0 ? 'per_knob' : atomicityWords.decode(wire.atomicity);
  if (epoch === undefined || revision === undefined || wire.commandId === '' || !onExpiry || !atomicity)
    return { kind: 'unreadable', problem: `command ${JSON.stringify(wire.commandId.slice(0, 80))} is malformed` };
  const changes: KnobChange[] = [];
  for (const change of wire.changes) {
    const value = decodeValue(change.value);
    const expectedCurrent = decodeValue(change.expectedCurrent);
    if (value === undefined || (change.expectedCurrent && expectedCurrent === undefined))
      return { kind: 'unreadable', problem: `command ${JSON.stringify(wire.commandId.slice(0, 80))}: no value` };
    if (changes.some(({ knob }) => knob === change.knob))
      return { kind: 'unreadable', problem: `command ${JSON.stringify(wire.commandId.slice(0, 80))}: a knob twice` };
    changes.push({ knob: change.knob, value, ...(expectedCurrent !== undefined && { expectedCurrent }) });
  }
  const command: ClientCommand = {
    commandId: wire.commandId,
    epoch,
    revision,
    changes,
    atomicity,
    validateOnly: wire.validateOnly,
    leaseTtlMs: decodeDurationMs(wire.leaseTtl),
    onExpiry,
    applyDeadlineMs: decodeDurationMs(wire.applyDeadline),
    rationale: decodeRationale(wire.rationale),
  };
  return { kind: 'command', nonce: wire.nonce, command };
}

function decodeRationale(wire: Command['rationale']): Rationale {
  return {
    strategy: wire?.strategy ?? '',
    reason: wire?.reason ?? '',
    ...(wire?.trialId && { trialId: wire.trialId }),
    ...(wire?.expectedEffect !== undefined && { expectedEffect: wire.expectedEffect }),
    ...(wire?.confidence !== undefined && { confidence: wire.confidence }),
  };
}

function typesOf(specs: readonly KnobSpec[]): ReadonlyMap<string, KnobSpec['type']> {
  return new Map(specs.map((spec) => [spec.id, spec.type]));
}
