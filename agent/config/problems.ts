import type { z } from 'zod';
import { nearest } from './nearest.ts';
import { keysOf, outline, schemaAt } from './outline.ts';

/** One thing wrong with a configuration: where, what, and what is allowed. */
export interface Problem {
  /** `tuning.window.min`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** From 1, in the YAML file. */
  readonly line?: number;
}

/** What a file says at a path: the line, and the text to show for its value. */
export interface Places {
  lineOf(path: readonly PropertyKey[]): number | undefined;
  /** The value as it stands in the file, so that what `${env:…}` stands for is never printed. */
  sourceOf(path: readonly PropertyKey[]): string | undefined;
}

/** Says each of zod's findings in the words of the schema's own notes. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], root: z.core.$ZodType, places: Places): Problem[] {
  const problems = issues.flatMap((issue): Problem[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => problemAt([...issue.path, key], unknownKey(key, root, issue.path), places));
    }
    if (issue.code === 'invalid_key') {
      return [
        problemAt(issue.path, 'this name is not allowed; allowed: 1 to 200 characters, no control characters', places),
      ];
    }
    return [problemAt(issue.path, notAllowed(root, issue.path, places), places)];
  });
  return [...new Map(problems.map((problem) => [`${problem.path}\n${problem.message}`, problem])).values()];
}

export function problemAt(path: readonly PropertyKey[], message: string, places: Places): Problem {
  const line = places.lineOf(path);
  return { path: pathText(path), message, ...(line === undefined ? {} : { line }) };
}

/** `agent.yaml:12: monitoring.interval: -5 is not allowed; allowed: …`, one line a problem, in the file's order. */
export function formatProblems(source: string, problems: readonly Problem[]): string {
  return [...problems]
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
    .map(({ line, path, message }) => {
      const where = line === undefined ? source : `${source}:${line}`;
      return path === '' ? `${where}: ${message}` : `${where}: ${path}: ${message}`;
    })
    .join('\n');
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map((key) => (/^[\w-]+$/.test(String(key)) ? String(key) : JSON.stringify(String(key)))).join('.');
}

function unknownKey(key: string, root: z.core.$ZodType, parent: readonly PropertyKey[]): string {
  const section = schemaAt(root, parent);
  const allowed = section === undefined ? [] : keysOf(section).map(([name]) => name);
  const guess = nearest(key, allowed);
  return `unknown key${guess === undefined ? ';' : `; did you mean "${guess}"?`} allowed keys: ${allowed.join(', ')}`;
}

function notAllowed(root: z.core.$ZodType, path: readonly PropertyKey[], places: Places): string {
  const schema = schemaAt(root, path);
  const isSecret = schema !== undefined && outline(schema).notes.secret === true;
  const shown = isSecret ? 'what stands there' : places.sourceOf(path);
  const wrong = shown === undefined ? 'is missing' : `${shown} is not allowed`;
  if (schema === undefined) return wrong;
  const keys = keysOf(schema).map(([name]) => name);
  const allowed = keys.length > 0 ? `a mapping with the keys ${keys.join(', ')}` : outline(schema).notes.allowed;
  return allowed === undefined ? wrong : `${wrong}; allowed: ${allowed}`;
}
