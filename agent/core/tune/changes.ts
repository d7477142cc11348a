import type { Decision, Effectiveness, KnobValue, Setting } from '../model.ts';

/** What differs between two settings, and the words for it. */
export function changesBetween(from: Setting, to: Setting): Decision['changes'] {
  return Object.entries(to).flatMap(([knob, value]) => {
    const before = from[knob];
    return before === undefined || before === value ? [] : [{ knob, from: before, to: value }];
  });
}

/** The values of `to` that differ. */
export function changed(from: Setting, to: Setting): Setting {
  return Object.fromEntries(changesBetween(from, to).map(({ knob, to: value }) => [knob, value]));
}

export function describe(setting: Setting): string {
  return Object.entries(setting)
    .map(([knob, value]) => `${knob} ${show(value)}`)
    .join(', ');
}

export function describeChanges(changes: Decision['changes']): string {
  return changes.map(({ knob, from, to }) => `${knob} ${show(from)} → ${show(to)}`).join(', ');
}

export function describeEffect(effect: Effectiveness): string {
  const range = `${signed(effect.low)} to ${signed(effect.high)}`;
  return `objective ${signed(effect.estimate)} (${range} at ${(effect.confidence * 100).toFixed(1)} % confidence, ${effect.blocks} blocks)`;
}

/** A change by a ratio, in words: −.1 is 10 % less. */
export function signed(ratio: number): string {
  return `${ratio < 0 ? '−' : '+'}${Math.abs(ratio * 100).toFixed(1)} %`;
}

function show(value: KnobValue): string {
  return typeof value === 'number' && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : String(value);
}
