/** Fails when agent/gen or config/formulas.md is not what `npm run gen` makes: run by `npm run gen:check`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { renderFormulas } from './formulas.ts';

const root = join(import.meta.dirname, '..');
const fresh = mkdtempSync(join(tmpdir(), 'perfopt-gen-'));

function filesBelow(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(folder.length + 1), readFileSync(path, 'utf8'));
  }
  return files;
}

try {
  const bin = join(root, 'node_modules', '.bin');
  execFileSync(join(bin, 'buf'), ['generate', '--output', fresh], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  const wanted = filesBelow(join(fresh, 'agent', 'gen'));
  const present = filesBelow(join(root, 'agent', 'gen'));
  const problems = [
    ...[...wanted].flatMap(([path, text]) => {
      const committed = present.get(path);
      if (committed === undefined) return [`agent/gen/${path} is missing`];
      return committed === text ? [] : [`agent/gen/${path} is out of date`];
    }),
    ...[...present.keys()].filter((path) => !wanted.has(path)).map((path) => `agent/gen/${path} has no proto any more`),
    ...(readFileSync(join(root, 'config/formulas.md'), 'utf8') === renderFormulas()
      ? []
      : ['config/formulas.md is not what the docstrings say']),
  ];
  if (problems.length > 0) {
    console.error(
      `What is generated is out of date:\n  ${problems.join('\n  ')}\nRun "npm run gen" and commit the result.`,
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
