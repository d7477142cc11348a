import type { Setting } from '../model.ts';

/** Whether two settings have the same knobs at exactly the same values. */
export function sameSetting(a: Setting, b: Setting): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
}
