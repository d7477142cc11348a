/** What a rule of the conformance script may say: data, so that whoever writes a client can read it without our code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const value = z.union([z.boolean(), z.number(), z.string()]);
const values = z.record(z.string(), value);

const command = z.strictObject({
  /** Its command_id. */
  id: z.string(),
  revision: z.number(),
  /** That of the session when it is not said. */
  epoch: z.number().optional(),
  changes: values,
  expected: values.optional(),
  atomicity: z.enum(['all', 'per_knob']).optional(),
  validateOnly: z.boolean().optional(),
  leaseMs: z.number().optional(),
  onExpiry: z.enum(['hold', 'baseline', 'last_good']).optional(),
  deadlineMs: z.number().optional(),
});

const STATES = [
  'applying',
  'draining',
  'applied',
  'rejected_permanent',
  'rejected_transient',
  'superseded',
  'expired',
  'rolled_back',
] as const;

const step = z.union([
  /** What the client under test is told to do. */
  z.strictObject({ connect: z.strictObject({ to: z.enum(['peer', 'agent']), knobs: z.array(z.string()) }) }),
  z.strictObject({ declare: z.string() }),
  z.strictObject({ set: z.strictObject({ knob: z.string(), value, refused: z.string().optional() }) }),
  z.strictObject({
    mood: z.strictObject({
      knob: z.string(),
      is: z.enum(['agree', 'refuse', 'refuse_for_now', 'hang']),
      reason: z.string().optional(),
    }),
  }),
  z.strictObject({ release: z.literal(true) }),
  z.strictObject({ close: z.literal(true) }),
  z.strictObject({ jumpWallClockMs: z.number() }),
  z.strictObject({ killClient: z.literal(true) }),
  z.strictObject({ stopClientMs: z.number() }),
  /** What is read of the client. */
  z.strictObject({ read: values }),
  z.strictObject({ awaitRead: z.strictObject({ values, withinMs: z.number(), notBeforeMs: z.number().optional() }) }),
  z.strictObject({ readsFasterThanUs: z.number() }),
  z.strictObject({ told: z.strictObject({ knob: z.string(), values: z.array(value) }) }),
  z.strictObject({ connected: z.boolean() }),
  /** What the scripted peer does. */
  z.strictObject({
    peer: z.enum(['start', 'stop', 'end_stream', 'refuse', 'say_nothing', 'welcome', 'welcome_from_now_on']),
  }),
  z.strictObject({ epoch: z.number() }),
  z.strictObject({ command }),
  z.strictObject({ again: z.string() }),
  z.strictObject({
    renew: z.strictObject({ revision: z.number(), epoch: z.number().optional(), leaseMs: z.number() }),
  }),
  z.strictObject({
    revoke: z.strictObject({ revision: z.number(), epoch: z.number().optional(), knobs: z.array(z.string()) }),
  }),
  z.strictObject({ askFullState: z.literal(true) }),
  z.strictObject({
    malformed: z.enum(['bytes', 'empty', 'no_command_id', 'no_value', 'knob_twice', 'nan', 'infinite']),
  }),
  /** What the scripted peer must hear. */
  z.strictObject({
    hello: z.strictObject({
      knobs: z.array(z.string()).optional(),
      held: z.record(z.string(), z.strictObject({ value, epoch: z.number(), revision: z.number() })).optional(),
      byHand: values.optional(),
      lastSeenRevision: z.number().optional(),
      sameInstance: z.boolean().optional(),
    }),
  }),
  z.strictObject({
    result: z.strictObject({
      of: z.string(),
      states: z.record(z.string(), z.enum(STATES)),
      effective: values.optional(),
      effectiveRevision: z.record(z.string(), z.number()).optional(),
      error: z.record(z.string(), z.string()).optional(),
      nonce: z.enum(['echoed', 'empty']).optional(),
    }),
  }),
  z.strictObject({ override: z.strictObject({ knob: z.string(), value }) }),
  z.strictObject({
    holding: z.strictObject({
      held: z.record(z.string(), z.strictObject({ value, epoch: z.number(), revision: z.number() })),
      byHand: values.optional(),
    }),
  }),
  /** No Holding has been heard that nobody has asked for in the rule. */
  z.strictObject({ noHolding: z.literal(true) }),
  z.strictObject({ heartbeats: z.number() }),
  z.strictObject({ bye: z.literal(true) }),
  /** Everything that has been sent so far has been worked off, and nothing else was heard of these commands. */
  z.strictObject({ silenceAbout: z.array(z.string()) }),
  /** The real agent. */
  z.strictObject({ agent: z.enum(['start', 'kill']) }),
  z.strictObject({ pin: z.strictObject({ knob: z.string(), value }) }),
  z.strictObject({ unpin: z.string() }),
  z.strictObject({
    snapshot: z.strictObject({
      knob: z.string(),
      effective: value.optional(),
      pinned: z.boolean().optional(),
      lastError: z.string().optional(),
      connected: z.boolean().optional(),
    }),
  }),
]);

export type Step = z.infer<typeof step>;

const file = z.strictObject({
  agentLeaseMs: z.number(),
  knobs: z.record(
    z.string(),
    z.looseObject({ type: z.enum(['int', 'double', 'duration', 'bool', 'enum']), default: value }),
  ),
  rules: z.array(z.strictObject({ rule: z.string(), guarantee: z.string(), steps: z.array(step).min(1) })),
});

export type RulesFile = z.infer<typeof file>;
export type Rule = RulesFile['rules'][number];

export function readRules(): RulesFile {
  return file.parse(parse(readFileSync(join(import.meta.dirname, 'rules.yaml'), 'utf8')));
}
