import { z } from 'zod';
import {
  LATENCY_SIGNALS,
  LEVEL_SIGNALS,
  msPerUnit,
  RESOURCES,
  type ResourceMeasure,
  type ResourceScope,
} from '../core/signals.ts';
import { choice, integer, number, text } from './kinds.ts';

/* Rows of the configuration's `signals`: the same shape as the core's `SignalMapping`, which the compiler checks. */

const SCOPES = ['process', 'container', 'host'] as const satisfies readonly ResourceScope[];
const MEASURES = ['utilization', 'usage', 'limit', 'time'] as const satisfies readonly ResourceMeasure[];
const ALLOWED_SIGNALS = [
  ...LATENCY_SIGNALS,
  'totalTime',
  'requests',
  ...LEVEL_SIGNALS,
  'tokens',
  'reward',
  'resource',
  'ignore',
].join(', ');
const signal = { description: 'What the metric means.', allowed: `one of ${ALLOWED_SIGNALS}` };

const row = {
  metric: text('Name of the metric, exact or with * for any run of characters.', 'a metric name'),
  where: z
    .record(z.string(), z.array(z.string()))
    .meta({
      description: 'Only points whose attribute has one of these values; "" stands for an absent attribute.',
      allowed: 'a mapping of attribute names to lists of values',
    })
    .exactOptional(),
  rank: integer('Of several sources of one signal, the lowest rank counts. The defaults begin at 10.', {
    min: 0,
    max: 1_000,
  }).default(0),
};
const scale = number('Factor to the signal’s unit.', { min: 1e-12, max: 1e12 }).exactOptional();
const outcome = z
  .union([
    z.enum(['standard', 'ok', 'error']),
    z.strictObject({ attribute: z.string().min(1), errorValues: z.array(z.string()) }),
  ])
  .meta({
    description: 'Which requests failed: by the semantic conventions, all, none, or by an attribute of their own.',
    allowed: 'standard, ok, error, or { attribute: NAME, errorValues: [...] }',
  })
  .exactOptional();

const unit = z
  .string()
  .refine((unit) => msPerUnit(unit) !== undefined)
  .meta({
    description: 'Unit of the values where the series names none.',
    allowed: 'a UCUM time unit: s, ms, us, ns',
  });

export const signalRow = z
  .discriminatedUnion('signal', [
    z.strictObject({
      ...row,
      signal: z.enum(LATENCY_SIGNALS).meta(signal),
      unit,
      outcome,
    }),
    z.strictObject({
      ...row,
      signal: z.literal('totalTime').meta(signal),
      of: choice(
        'What the counted time adds up; its mean needs a counter of the same rank that `times` a total.',
        LATENCY_SIGNALS,
      ),
      unit,
    }),
    z.strictObject({
      ...row,
      signal: z.literal('requests').meta(signal),
      outcome,
      times: choice('Which metric of the same rank tells how long these took.', ['histogram', 'total']).exactOptional(),
    }),
    z.strictObject({ ...row, signal: z.enum(LEVEL_SIGNALS).meta(signal), scale }),
    z.strictObject({
      ...row,
      signal: z.literal('tokens').meta(signal),
      direction: choice('Of the tokens.', ['input', 'output']),
      scale,
      times: choice('Which metric of the same rank tells how long these took.', ['total']).exactOptional(),
    }),
    z.strictObject({
      ...row,
      signal: z.literal('resource').meta(signal),
      resource: choice('Which one.', RESOURCES),
      scope: choice('Of what.', SCOPES),
      measure: choice(
        'What the value is: a ratio of the limit, cores or bytes used, the limit, or CPU time.',
        MEASURES,
      ),
      scale,
    }),
    z.strictObject({ ...row, signal: z.literal('reward').meta(signal) }),
    z.strictObject({ ...row, signal: z.literal('ignore').meta(signal) }),
  ])
  .meta({ description: 'One metric and its meaning.' });
