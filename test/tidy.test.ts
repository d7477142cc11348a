import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path/posix';
import { expect, test } from 'vitest';

/*
 * What the compiler and the linter cannot hold. Each test collects every breach and expects none, so that a failure
 * lists all of them. `DESIGN.md` of the project draws the floors; imports run downwards only.
 */

const root = join(import.meta.dirname, '..');
// Also files that are not committed yet: the time to hear of a breach is before the commit.
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(root, path)) && statSync(join(root, path)).isFile());
const scripts: Record<string, string> = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts;

const sources = files
  .filter((path) => /\.tsx?$/.test(path) && path !== 'test/tidy.test.ts')
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
const written = sources.filter(({ path }) => !path.startsWith('agent/gen/'));
const agent = written.filter(({ path }) => path.startsWith('agent/'));
const core = agent.filter(({ path }) => path.startsWith('agent/core/'));
const tests = written.filter(({ path }) => path.startsWith('test/'));

/** Code without comments and without what stands in quotes, so that words are not taken for code. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''");
}

/** Every match of `pattern`, as `path: match`. */
function found(where: readonly { path: string; text: string }[], pattern: RegExp): string[] {
  return where.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([match]) => `${path}: ${match.trim()}`));
}

interface Import {
  readonly from: string;
  /** A path in the repository, or the name of a package. */
  readonly to: string;
  readonly isType: boolean;
}

function importsOf({ path, text }: { path: string; text: string }): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm);
  const dynamic = text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g);
  const resolved = (to: string): string => (to.startsWith('.') ? join(dirname(path), to) : to);
  return [
    ...[...statements].map(([, type, to = '']) => ({ from: path, to: resolved(to), isType: type !== undefined })),
    ...[...dynamic].map(([, to = '']) => ({ from: path, to: resolved(to), isType: false })),
  ];
}

/** Of a file: which floor it stands on. Each adapter is a room of its own. */
function floorOf(path: string): string {
  const [top, second = '', third = ''] = path.split('/');
  if (top !== 'agent') return top ?? '';
  if (second === 'adapters') return `adapters/${third.replace(/\.ts$/, '')}`;
  return second.replace(/\.ts$/, '');
}

const BELOW: Readonly<Record<string, readonly string[]>> = {
  main: ['command'],
  command: ['sidecar', 'config', 'core', 'gen', 'rpc', 'adapters/journal', 'adapters/telemetry', 'adapters/web'],
  sidecar: ['optimizer', 'upkeep', 'runtime', 'snapshot', 'status', 'tap', 'config', 'core', 'rpc', 'adapters/*'],
  status: ['runtime', 'config', 'core', 'adapters/*'],
  snapshot: ['core', 'adapters/control'],
  tap: ['core', 'adapters/control'],
  library: ['optimizer', 'config', 'core'],
  // A composition root too: of the same engine, in a process that is not ours. The client's holdings are its actuator.
  optimizer: ['upkeep', 'runtime', 'config', 'core', 'rpc', 'gen', 'client', 'adapters/*'],
  // What is learned outlives the process: shared by those who put an engine together.
  upkeep: ['core', 'adapters/journal'],
  runtime: ['core'],
  config: ['core', 'rpc'],
  client: ['gen', 'rpc', 'core'],
  rpc: ['gen', 'core'],
  // `sampling`, `sqlite` and `readings` are no adapters of anything: the life that samplers share, what keepers of files do, and
  // what the agent counts about itself, which is exported and shown.
  'adapters/*': ['core', 'gen', 'rpc', 'adapters/sampling', 'adapters/sqlite', 'adapters/readings'],
  core: [],
};

test('imports run downwards only', () => {
  const breaches = agent.flatMap(importsOf).filter(({ from, to }) => {
    const floor = floorOf(from);
    if (!to.startsWith('agent/')) return floor === 'core' || /^(?:test|deploy|config)\//.test(to);
    const target = floorOf(to);
    const allowed = BELOW[floor] ?? BELOW[floor.replace(/\/.*/, '/*')] ?? [];
    return target !== floor && !allowed.includes(target) && !allowed.includes(target.replace(/\/.*/, '/*'));
  });
  expect(breaches).toEqual([]);
});

test('a client takes from the core its nouns and nothing else', () => {
  const breaches = agent
    .filter(({ path }) => path.startsWith('agent/client/'))
    .flatMap(importsOf)
    .filter(({ to, isType }) => to.startsWith('agent/core/') && to !== 'agent/core/model.ts' && !isType);
  expect(breaches).toEqual([]);
});

test('no file imports itself by way of others', () => {
  const graph = new Map<string, string[]>();
  for (const source of agent) {
    graph.set(
      source.path,
      importsOf(source)
        .filter(({ isType }) => !isType)
        .map(({ to }) => to),
    );
  }
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  expect(cycles).toEqual([]);
});

test('a running agent carries nothing that reads configurations', () => {
  const carried = new Set<string>();
  const visit = (path: string): void => {
    if (carried.has(path)) return;
    carried.add(path);
    const source = agent.find((one) => one.path === path);
    for (const { to, isType } of source === undefined ? [] : importsOf(source)) if (!isType) visit(to);
  };
  visit('agent/command/agent.ts');
  expect([...carried].filter((path) => ['zod', 'yaml'].includes(path))).toEqual([]);
  expect(carried).toContain('agent/core/engine.ts');
});

test('the core reads no clock, no chance and no environment', () => {
  const impure =
    /\b(?:new Date|Date\.|Math\.random|performance\.|globalThis|process\.|console\.|crypto\.|setTimeout|setInterval|queueMicrotask|await |async )/g;
  expect(
    found(
      core.map(({ path, text }) => ({ path, text: code(text) })),
      impure,
    ),
  ).toEqual([]);
});

test('only main.ts reads argv and environment; a client reads its own address in one place', () => {
  const readers = agent.filter(({ text }) => /process\.(?:argv|env)\b/.test(code(text))).map(({ path }) => path);
  const clients = readers.filter((path) => path.startsWith('agent/client/'));
  expect(readers.filter((path) => path !== 'agent/main.ts' && !clients.includes(path))).toEqual([]);
  expect(clients.length).toBeLessThanOrEqual(1);
});

test('only main.ts writes to the console', () => {
  const writers = agent.filter(({ path }) => path !== 'agent/main.ts');
  expect(
    found(
      writers.map(({ path, text }) => ({ path, text: code(text) })),
      /\bconsole\.\w+|process\.std(?:out|err)\b/g,
    ),
  ).toEqual([]);
});

test('every module is imported by its own name', () => {
  expect(found(written, /^export \*.*$/gm)).toEqual([]);
  const defaults = found(written, /^export default\b.*$/gm);
  expect(defaults.filter((breach) => !/^(?:[^:]*\/)?[^/:]*\.config\.ts:/.test(breach))).toEqual([]);
});

test('names are nouns of the domain', () => {
  const vague = /(?:^|[-_.])(?:helpers?|utils?|manager|misc|common|stuff)$|^service$/;
  const theirs = ['resource-manager', 'resource_manager'];
  const stems = written.map(({ path }) => ({ path, stem: basename(path).replace(/(?:\.test)?\.tsx?$/, '') }));
  expect(stems.filter(({ stem }) => vague.test(stem) && !theirs.includes(stem))).toEqual([]);
  const classes = found(agent, /\b(?:class|interface) \w*(?:Helper|Utils?|Manager|Service)\b/g);
  expect(classes.filter((breach) => !/ResourceManager$/.test(breach))).toEqual([]);
});

test('nothing lies at the top but what belongs there', () => {
  const folders = new Set(files.filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
  const allowed = ['.ci', 'agent', 'config', 'deploy', 'proto', 'test'];
  expect([...folders].filter((folder) => !allowed.includes(folder ?? ''))).toEqual([]);
  const loose = files.filter((path) => !path.includes('/'));
  const known =
    /^(?:README\.md|LICENSE|package(?:-lock)?\.json|tsconfig\.json|biome\.json|vitest\.config\.ts|buf(?:\.gen)?\.yaml|\.editorconfig|\.gitignore|\.gitattributes|\.npmrc|\.dockerignore)$/;
  expect(loose.filter((path) => !known.test(path))).toEqual([]);
});

test('generated code is generated', () => {
  const generated = sources.filter(({ path }) => path.startsWith('agent/gen/'));
  expect(
    generated
      .filter(({ text }) => !/^\/\/ @generated by protoc-gen-es/m.test(text.slice(0, 4_000)))
      .map(({ path }) => path),
  ).toEqual([]);
  expect(found(written, /^\/\/ @generated by.*$/gm)).toEqual([]);
});

test('package.json names every script, and no script that is not there', () => {
  const commands = Object.values(scripts).join('\n');
  const named = [...commands.matchAll(/\bnode (?:--\S+ )*([\w./-]+\.ts)\b/g)].map(([, path = '']) => path);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const benches = files.filter((path) => /^test\/bench\/[^/]+\.ts$/.test(path) && !path.endsWith('.test.ts'));
  expect(benches.filter((path) => !named.includes(path))).toEqual([]);
});

test('tests all run, wait for events and not for time, and use fakes and not mocks', () => {
  const bare = tests.map(({ path, text }) => ({ path, text: code(text) }));
  expect(
    found(bare, /\b(?:test|it|describe)(?:\.\w+)*\.(?:only|skip|todo|fails)\b|\b(?:xit|xtest|fdescribe|xdescribe)\(/g),
  ).toEqual([]);
  // Only benchmarks may spend time on purpose: they offer load at a rate.
  const isTest = ({ path }: { readonly path: string }): boolean => !path.startsWith('test/bench/');
  expect(
    found(bare.filter(isTest), /\bsetTimeout\(\s*(?:\(\)\s*=>\s*)?(?:resolve|done|r)\b|\bsleep\(|\bdelay\(\d/g),
  ).toEqual([]);
  expect(found(tests.filter(isTest), /\bfrom\s*'(?:node:)?timers\/promises'/g)).toEqual([]);
  expect(found(bare, /\bvi\.(?:mock|fn|spyOn|stub\w*)\b|\btoHaveBeenCalled\w*/g)).toEqual([]);
});

test('nothing is left for later, switched off, or too long to read', () => {
  expect(found(written, /\b(?:TODO|FIXME|XXX|HACK)\b.*$/gm)).toEqual([]);
  expect(found(written, /@ts-(?:ignore|nocheck|expect-error).*$/gm)).toEqual([]);
  // What stands in quotes may be as long as it has to be said.
  const unquoted = written.map(({ path, text }) => ({ path, text: code(text).replace(/`[^`]*`/g, '') }));
  expect(found(unquoted, /^.{161,}$/gm)).toEqual([]);
  const long = agent
    .map(({ path, text }) => ({ path, lines: text.split('\n').length }))
    .filter(({ lines }) => lines > 600);
  expect(long).toEqual([]);
});

test('nothing names a machine that it was written on', () => {
  const texts = files
    .filter(
      (path) =>
        /\.(?:tsx?|ya?ml|json|md|sh|py|proto|toml)$/.test(path) &&
        path !== 'package-lock.json' &&
        path !== 'test/tidy.test.ts',
    )
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
  expect(found(texts, /(?:^|[\s"'`(=])\/(?:work|home|Users|root)\/[\w./-]+/gm)).toEqual([]);
});
