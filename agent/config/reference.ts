import { stringify } from 'yaml';
import { z } from 'zod';
import { keysOf, outline } from './outline.ts';
import { configSchema } from './schema.ts';

const WIDTH = 110;
const HEAD = [
  '# The configuration of the agent. Every key is here with its default; a file of your own needs only what differs.',
  '# Durations are milliseconds or text such as "250ms", "10s", "24h"; sizes are bytes or text such as "64MiB".',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is about this very syntax.
  '# ${env:NAME} and ${env:NAME:-fallback} stand for environment variables.',
  '# Check a file with `perfopt validate FILE`. This one is printed by `perfopt config`.',
  '# yaml-language-server: $schema=schema.json',
];

/** `config/agent.yaml`: every key with its meaning, what it allows and its default. */
export function renderDefaults(): string {
  return `${[...HEAD, ...renderSection(configSchema, '')].join('\n')}\n`;
}

/** `config/schema.json`, for editors. */
export function renderJsonSchema(): string {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      const { allowed } = jsonSchema;
      if (typeof allowed === 'string') jsonSchema.description = sentence(jsonSchema.description, allowed);
      delete jsonSchema.allowed;
    },
  });
  return `${JSON.stringify({ ...schema, title: 'Performance Optimizer configuration' }, null, 2)}\n`;
}

function renderSection(section: z.core.$ZodType, indent: string): string[] {
  return keysOf(section).flatMap(([key, schema]) => {
    const { notes, fallback } = outline(schema);
    const about = comment(sentence(notes.description, notes.allowed), indent);
    const example = notes.example === undefined ? [] : exampleOf(key, notes.example, indent);
    const isValue = keysOf(schema).length === 0 || fallback === null;
    const body = isValue
      ? [`${indent}${key}: ${stringify(fallback, { flowCollectionPadding: false }).trimEnd()}`]
      : [`${indent}${key}:`, ...renderSection(schema, `${indent}  `)];
    return [...(indent === '' ? [''] : []), ...about, ...example, ...body];
  });
}

function sentence(description: string | undefined, allowed: string | undefined): string {
  return [description, allowed === undefined || allowed === 'true or false' ? '' : `(${allowed})`]
    .filter((part) => part !== undefined && part !== '')
    .join(' ');
}

function exampleOf(key: string, example: unknown, indent: string): string[] {
  const lines = stringify({ [key]: example })
    .trimEnd()
    .split('\n');
  return [`${indent}# For example:`, ...lines.map((line) => `${indent}#   ${line}`)];
}

function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
