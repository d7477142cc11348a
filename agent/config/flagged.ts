import type { KnobSpec, Tier } from '../core/model.ts';
import { whyNotSound } from '../rpc/knob_domain.ts';
import type { Breach } from './rules.ts';
import type { Config } from './schema.ts';

/* What the rows of `flags.components` are to the rest of the agent. */

type Row = Config['flags']['components'][string]['knobs'][string];

export interface FlaggedComponent {
  readonly component: string;
  readonly tier: Tier;
  readonly knobs: readonly KnobSpec[];
}

export function flaggedComponents(config: Config): readonly FlaggedComponent[] {
  return Object.entries(config.flags.components).map(([component, { tier, knobs }]) => ({
    component,
    tier,
    knobs: Object.entries(knobs).map(([id, row]) => specOf(id, row) ?? unsound(id)),
  }));
}

export function flagRules(config: Config): Breach[] {
  return Object.entries(config.flags.components).flatMap(([component, { knobs }]) =>
    Object.entries(knobs).flatMap(([id, row]): Breach[] => {
      const path = ['flags', 'components', component, 'knobs', id];
      const spec = specOf(id, row);
      if (!spec) return [{ path: [...path, 'default'], message: `is not a value of type ${row.type}` }];
      const flaw = whyNotSound(spec);
      if (!flaw) return [];
      const field = flaw.field === 'baseline' ? 'default' : flaw.field;
      return [{ path: field in row ? [...path, field] : path, message: `${field} ${flaw.problem}` }];
    }),
  );
}

function specOf(id: string, row: Row): KnobSpec | undefined {
  const { unit, description, role, applies, settle } = row;
  const common = { id, unit, description, role, applyClass: applies, settleMs: settle, ceilingAtBoot: false };
  const baseline = row.default;
  if (row.type === 'bool') return typeof baseline === 'boolean' ? { ...common, type: row.type, baseline } : undefined;
  if (row.type === 'enum')
    return typeof baseline === 'string' ? { ...common, type: row.type, values: row.values ?? [], baseline } : undefined;
  if (typeof baseline !== 'number') return undefined;
  const { type, scale, step, min = Number.NaN, max = Number.NaN } = row;
  return { ...common, type, scale, min, max, baseline, ...(step !== undefined && { step }) };
}

function unsound(id: string): never {
  throw new Error(`flags: knob ${id} has not been checked`);
}
