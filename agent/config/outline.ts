import { z } from 'zod';
import type { KeyNotes } from './kinds.ts';

/** A schema without the wrappers around it, and what those say. */
export interface Outline {
  readonly bare: z.core.$ZodType;
  readonly notes: KeyNotes;
  readonly fallback: unknown;
}

/** Looks through defaults, optionals, nullables and transforms. Outer notes win; defaults are as they were written. */
export function outline(schema: z.core.$ZodType): Outline {
  let bare = schema;
  let notes: KeyNotes = {};
  let fallback: unknown;
  for (;;) {
    notes = { ...z.globalRegistry.get(bare), ...notes };
    if (bare instanceof z.ZodDefault || bare instanceof z.ZodPrefault) {
      fallback ??= bare.def.defaultValue;
      bare = bare.def.innerType;
    } else if (bare instanceof z.ZodOptional || bare instanceof z.ZodExactOptional || bare instanceof z.ZodNullable) {
      bare = bare.def.innerType;
    } else if (bare instanceof z.ZodPipe) {
      bare = bare.def.in;
    } else {
      return { bare, notes, fallback };
    }
  }
}

/** Keys and their schemas where `schema` is a section; nothing where it is a value. */
export function keysOf(schema: z.core.$ZodType): readonly (readonly [string, z.core.$ZodType])[] {
  const { bare } = outline(schema);
  if (bare instanceof z.ZodObject) return Object.entries(bare.def.shape);
  // Of a list's rows that differ by kind: every key that some kind has.
  if (bare instanceof z.ZodDiscriminatedUnion) return [...new Map(bare.def.options.flatMap(keysOf))];
  return [];
}

/** The schema at a path, through sections, mappings and lists; `undefined` where the path names no key. */
export function schemaAt(root: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let at: z.core.$ZodType | undefined = root;
  for (const key of path) {
    if (at === undefined) return undefined;
    const { bare } = outline(at);
    if (bare instanceof z.ZodObject || bare instanceof z.ZodDiscriminatedUnion)
      at = keysOf(bare).find(([name]) => name === key)?.[1];
    else if (bare instanceof z.ZodRecord) at = bare.def.valueType;
    else if (bare instanceof z.ZodArray) at = bare.def.element;
    else at = undefined;
  }
  return at;
}
