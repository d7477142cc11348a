/**
 * `config/formulas.md`: what each number means, from the docstrings of the code that computes it. A docstring belongs on
 * the page when it ends with `@figure TITLE [UNIT]`, or the range where there is no unit. Printed by `npm run gen`; `npm run gen:check` compares.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** The page's order: the design document's names first. What is not here follows by title. */
export const FIGURES = [
  'Average think time',
  'Optimization score',
  'Adaptation rate',
  'Total throughput',
  'Resource efficiency',
  'Efficiency of CPU, memory and GPU',
  'Performance score',
  'Health score and status',
  'System health',
  'Reliability',
  'Trend',
  'Expected improvement',
  'Confidence of a recommendation',
  'Impact of a pattern',
  'Severity of an anomaly',
  'Bottleneck score',
  'Demand for a resource',
  "Weight of a component's claim",
];

export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly text: string;
  /** Where it is computed, and the name there. */
  readonly file: string;
  readonly symbol: string;
}

export function figuresIn(file: string, source: string): readonly Figure[] {
  return [...source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*?)@figure ([^[(\n]+?) ([[(][^\n]+)\n\s*\*\/\n([^\n]*)/g)].map(
    ([, comment = '', title = '', unit = '', line = '']) => ({
      title,
      unit,
      text: comment
        .split('\n')
        .map((row) => row.replace(/^\s*\* ?/, ''))
        .join('\n')
        .trim(),
      file,
      symbol: /(?:function|interface|class|readonly)\s+(\w+)/.exec(line)?.[1] ?? '',
    }),
  );
}

function allFigures(): readonly Figure[] {
  const rank = (title: string): number => (FIGURES.includes(title) ? FIGURES.indexOf(title) : FIGURES.length);
  return readdirSync(join(root, 'agent/core'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .flatMap((path) => figuresIn(`agent/core/${path}`, readFileSync(join(root, 'agent/core', path), 'utf8')))
    .sort((a, b) => rank(a.title) - rank(b.title) || a.title.localeCompare(b.title));
}

export function renderFormulas(): string {
  return [
    '# What each number means',
    '',
    'One formula for each number that the agent and the library show, with its unit. This page is made of the docstrings of',
    'the code that computes them (`npm run gen`). What was not measured is absent: no number here is ever made up.',
    ...allFigures().flatMap(({ title, unit, text, file, symbol }) => [
      '',
      `## ${title}`,
      '',
      `${unit.includes(',') ? `In ${unit}` : `Unit: ${unit.slice(1, -1)}`}. Computed by \`${symbol}\` in [${file}](../${file}).`,
      '',
      text,
    ]),
    '',
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) process.stdout.write(renderFormulas());
