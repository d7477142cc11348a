import { isMap, isNode, isScalar, LineCounter, type Node, parseDocument, Scalar, visit } from 'yaml';
import type { Places, Problem } from './problems.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A YAML file as plain data, with the way back from a path to its line. */
export interface YamlFile {
  readonly data: unknown;
  readonly places: Places;
  readonly problems: readonly Problem[];
}

const REFERENCE = /\$(\$?)\{env:([^}]*)\}/g;
// `{ key: ${env:X} }`: YAML reads these braces as its own.
const FLOW_REFERENCE = /\{[^"'\n]*:\s*\$\{env:/;
// biome-ignore lint/suspicious/noTemplateCurlyInString: the text is about this very syntax.
const FLOW_HINT = '; inside { } put quotes around "${env:…}", or give the key a line of its own';
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/**
 * Reads YAML and puts the environment in: `${env:VAR}` must be set, `${env:VAR:-text}` falls back to the text where it
 * is unset or empty, `$${env:VAR}` stays as it is written. Only values are replaced and what comes in is never read
 * as YAML again, so a variable can set a number or a text and never add a key. An unquoted value that is replaced
 * as a whole becomes a number, true, false or null where it reads as one.
 */
export function readYaml(text: string, environment: Environment): YamlFile {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, version: '1.2', uniqueKeys: true });
  const lineAt = (node: Node): number | undefined =>
    node.range === undefined || node.range === null ? undefined : counter.linePos(node.range[0]).line;

  const problems: Problem[] = document.errors.map((error) => ({
    path: '',
    message: `not valid YAML: ${error.message.split(/ at line \d+/)[0]}${FLOW_REFERENCE.test(text) ? FLOW_HINT : ''}`,
    ...(error.linePos === undefined ? {} : { line: error.linePos[0].line }),
  }));

  const written = new Map<Node, string>();
  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${env:')) return;
      const source = node.value;
      written.set(node, source);
      const missing: string[] = [];
      const replaced = substitute(source, environment, missing);
      node.value = node.type === Scalar.PLAIN && replaced !== source ? plainValue(replaced) : replaced;
      const line = lineAt(node);
      for (const message of missing) problems.push({ path: '', message, ...(line === undefined ? {} : { line }) });
    },
  });

  const places: Places = {
    lineOf(path) {
      for (let length = path.length; length > 0; length--) {
        const node = keyNode(document.contents, path.slice(0, length));
        if (node !== undefined) return lineAt(node);
      }
      return undefined;
    },
    sourceOf(path) {
      const node = document.getIn(path, true);
      if (!isNode(node)) return undefined;
      const source = written.get(node);
      if (source !== undefined) return JSON.stringify(source);
      return isScalar(node) ? JSON.stringify(node.value)?.slice(0, 120) : 'a mapping or a list';
    },
  };
  if (problems.length > 0) return { data: undefined, places, problems };
  try {
    return { data: document.toJS() ?? {}, places, problems };
  } catch (error) {
    // The library refuses aliases that would multiply beyond measure.
    const message = error instanceof Error ? error.message : String(error);
    return { data: undefined, places, problems: [{ path: '', message: `not usable YAML: ${message}` }] };
  }
}

function substitute(source: string, environment: Environment, missing: string[]): string {
  return source.replace(REFERENCE, (whole, doubled: string, inner: string) => {
    if (doubled !== '') return whole.slice(1);
    const match = VARIABLE.exec(inner);
    if (match === null) {
      missing.push(`${whole}: allowed: \${env:NAME} or \${env:NAME:-fallback}`);
      return '';
    }
    const [, name = '', fallback] = match;
    const value = environment[name];
    if (value !== undefined && (value !== '' || fallback === undefined)) return value;
    if (fallback !== undefined) return fallback;
    missing.push(`${whole}: the environment variable ${name} is not set; set it, or write \${env:${name}:-fallback}`);
    return '';
  });
}

function plainValue(text: string): string | number | boolean | null {
  if (text === '' || text === 'null' || text === '~') return null;
  if (text === 'true' || text === 'false') return text === 'true';
  return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text) ? Number(text) : text;
}

/** The node of the key that a path ends in, or of the list element. */
function keyNode(root: unknown, path: readonly PropertyKey[]): Node | undefined {
  let at: unknown = root;
  let key: unknown = root;
  for (const step of path) {
    if (isMap(at)) {
      const pair = at.items.find((item) => (isScalar(item.key) ? String(item.key.value) : item.key) === String(step));
      if (pair === undefined) return undefined;
      key = pair.key;
      at = pair.value;
    } else if (isNode(at) && 'items' in at && Array.isArray(at.items)) {
      key = at.items[Number(step)];
      at = key;
    } else {
      return undefined;
    }
  }
  return isNode(key) ? key : undefined;
}
