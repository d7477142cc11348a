import { z } from 'zod';
import { APPLY_CLASSES, KNOB_ROLES, TIERS } from '../core/model.ts';
import { choice, duration, flag, number, text } from './kinds.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
const HOUR = 3_600_000;
const range = { min: -LARGEST, max: LARGEST };

const knob = z
  .strictObject({
    type: choice('What kind of value it has.', ['int', 'double', 'duration', 'bool', 'enum']),
    default: z
      .union([z.boolean(), z.number(), z.string().regex(/^[^\p{Cc}]{1,64}$/u)])
      .meta({ description: 'What applies without the tuner.', allowed: 'a value of the type; seconds for a duration' }),
    min: number('Smallest value.', range).exactOptional(),
    max: number('Largest value.', range).exactOptional(),
    step: number('Values are min plus a multiple of it.', { min: 0, max: LARGEST }).exactOptional(),
    scale: choice('How steps through the range are best taken.', ['linear', 'log']).default('linear'),
    values: z
      .array(z.string().regex(/^[^\p{Cc}]{1,64}$/u))
      .max(64)
      .meta({ description: 'The words of an enum.', allowed: 'a list of 2 to 64 words' })
      .exactOptional(),
    unit: text('UCUM unit.', 'a unit', /^[^\p{Cc}]{0,32}$/u).default(''),
    description: text('For humans.', 'at most 1024 characters', /^[^\p{Cc}]{0,1024}$/u).default(''),
    role: choice('What kind of knob it is.', KNOB_ROLES).default('other'),
    applies: choice('What applying a value costs.', APPLY_CLASSES).default('hot'),
    settle: duration('Until the metrics show a new value alone, from its delivery.', { min: 0, max: HOUR }).prefault(
      '2s',
    ),
  })
  .meta({ description: 'One knob.' });

export const flags = z
  .strictObject({
    enabled: flag('Serve them at all.').default(true),
    components: z
      .record(
        z.string().regex(/^[^\p{Cc}]{1,200}$/u),
        z.strictObject({
          tier: choice('How much harm its owner tolerates.', TIERS),
          knobs: z
            .record(z.string(), knob)
            .refine((rows) => Object.keys(rows).length <= 256)
            .meta({ description: 'By id.', allowed: 'a mapping of at most 256 knob ids' }),
        }),
      )
      .default({})
      .meta({
        description:
          'Components without a client of ours, by `service.name`: they read their knobs as the flags COMPONENT/KNOB.',
        allowed: 'a mapping of component names',
        example: {
          checkout: {
            tier: 'stable',
            knobs: { batch_size: { type: 'int', default: 8, min: 1, max: 64, scale: 'log', role: 'batch' } },
          },
        },
      }),
  })
  .meta({
    description: "Knobs as feature flags, by flagd's sync and evaluation protocols, on the addresses of control.",
  })
  .prefault({});
