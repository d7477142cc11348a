/** The demo has dependencies of its own (a model runtime of some 300 MB), so that the agent's install stays small. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { endWithMe } from './processes.ts';

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>;
}

/** Compares what the lockfile wants with what npm says it has installed. Returns why an install is needed, if it is. */
export function whyInstall(wanted: Lockfile, installed: Lockfile | undefined): string | undefined {
  if (installed === undefined) return 'they are not installed yet';
  for (const [path, { version, optional }] of Object.entries(wanted.packages)) {
    if (path === '' || optional === true) continue;
    const found = installed.packages[path]?.version;
    if (found !== version) return `${path} is ${found ?? 'missing'}, and ${version} is wanted`;
  }
  return undefined;
}

/** Runs `npm ci` in the demo's folder where it is needed. */
export async function ensureInstalled(say: (line: string) => void): Promise<void> {
  const folder = new URL('./', import.meta.url);
  const read = (file: string): Lockfile | undefined => {
    try {
      return JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
    } catch {
      // No file, or one that is cut short: as good as not installed.
      return undefined;
    }
  };
  const wanted = read('package-lock.json');
  if (wanted === undefined) throw new Error('deploy/demo/package-lock.json is missing or not JSON');
  const reason = whyInstall(wanted, read('node_modules/.package-lock.json'));
  if (reason === undefined) {
    say("the demo's own dependencies are there (deploy/demo/node_modules)");
    return;
  }
  say(`installing the demo's own dependencies, since ${reason}: npm ci --ignore-scripts in deploy/demo`);
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  // Under `npm run` that npm is used; it is a script for Node.
  const npm = process.env.npm_execpath;
  const options = {
    cwd: fileURLToPath(folder),
    stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'],
  };
  const child =
    npm === undefined
      ? spawn('npm', args, { ...options, shell: process.platform === 'win32' })
      : spawn(process.execPath, [npm, ...args], options);
  endWithMe(child);
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`npm ci --ignore-scripts in deploy/demo ended with ${code}`)),
    );
  });
}
