import { execFileSync, fork, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentProcess } from './agent_process.ts';

/*
 * The published package from outside: built, with its declarations, used by programs that have nothing of this repository
 * but its name. Plain `strict`, and declarations are checked too.
 */

const root = join(import.meta.dirname, '..', '..');
const tsc = join(root, 'node_modules', '.bin', 'tsc');
const folder = mkdtempSync(join(tmpdir(), 'perfopt-package-'));

beforeAll(() => {
  const installed = join(folder, 'node_modules', 'performance-optimizer');
  mkdirSync(installed, { recursive: true });
  execFileSync(tsc, ['-p', 'agent/tsconfig.build.json', '--outDir', join(installed, 'dist')], { cwd: root });
  cpSync(join(root, 'package.json'), join(installed, 'package.json'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== 'performance-optimizer')
      symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  execFileSync(process.execPath, ['deploy/bundle.ts', join(installed, 'dist')], { cwd: root });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler has to say; nothing when all is well. */
function compiled(...options: readonly string[]): string {
  const strict = ['--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--types', 'node'];
  const modules = ['--module', 'nodenext', '--moduleResolution', 'nodenext', '--noEmit'];
  try {
    const files = ['embedding.ts', 'readme.ts'];
    return execFileSync(tsc, [...strict, ...modules, ...options, ...files], { cwd: folder, encoding: 'utf8' });
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error);
  }
}

describe('a program that follows the design document, and the sample of the README', () => {
  test('compile, also where optional means absent', () => {
    const program = readFileSync(join(import.meta.dirname, 'embedding.ts'), 'utf8');
    writeFileSync(join(folder, 'embedding.ts'), program.replace('../../agent/library.ts', 'performance-optimizer'));
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const sample = /## Embed it[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    expect(sample).toContain("from 'performance-optimizer'");
    const missing = 'declare function embed(text: unknown, batchSize: unknown): Promise<number[]>;\n';
    writeFileSync(join(folder, 'readme.ts'), missing + sample);
    expect(compiled()).toBe('');
    expect(compiled('--exactOptionalPropertyTypes')).toBe('');
  }, 60_000);

  test('the program runs, and says sensible things', async () => {
    const child = fork(join(folder, 'embedding.ts'), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const lines = await new Promise<string[]>((resolve, reject) => {
      child.on('message', (told) => resolve(JSON.parse(JSON.stringify(told))));
      child.on('exit', (code) => reject(new Error(`it ended with ${code}, and has said nothing`)));
    });
    expect(lines.filter((line) => /undefined|NaN|Infinity/.test(line))).toEqual([]);
    const said = (word: string): string => lines.find((line) => line.startsWith(`${word} `)) ?? `no ${word}`;
    const number = String.raw`\d+(?:\.\d+)?(?:e-\d+)?`;
    expect(said('optimised')).toMatch(new RegExp(`^optimised (?:true|false) .+ -?${number}% .+`));
    expect(said('executed')).toMatch(new RegExp(`^executed ${number}ms (?:true|false) {"echoed":"last"}$`));
    expect(said('snapshot')).toMatch(new RegExp(`^snapshot ${number}ms ${number}% ${number}$`));
    expect(said('analytics')).toMatch(new RegExp(`^analytics ${number} ${number}%$`));
    expect(said('health')).toMatch(new RegExp(`^health ${number}% (?:healthy|degraded|unhealthy) ${number}ms$`));
    expect(said('response')).toMatch(new RegExp(`^response time ${number} ${number} ${number} ${number} ms$`));
    expect(said('throughput')).toMatch(new RegExp(`^throughput ${number} ${number} ${number} 1/s$`));
    expect(said('reliability')).toMatch(/^reliability 1, untouched \d+$/);
    expect(said('restored')).toBe('restored 400 900 30 {"beams":4,"cache":true,"model":"small"}');
    expect(lines).toContainEqual(expect.stringMatching(/^event session_opened \d{13} /));
  }, 60_000);
});

test('the agent as it is shipped runs, with all that it starts beside itself', async () => {
  const agent = new AgentProcess(join(folder, 'node_modules', 'performance-optimizer', 'dist', 'main.js'));
  try {
    // A worker asks for the inventory, another one keeps the queue.
    await agent.start({ upstream: { endpoint: 'http://127.0.0.1:9' } });
    const inventory = await agent.line(({ msg }) => msg === 'inventory');
    expect(inventory.version).toBe(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
    expect(inventory.inventory).toMatchObject({ cpu: { logicalCores: expect.any(Number) } });
    expect(agent.lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    expect(await agent.kill('SIGTERM')).toBe(0);
  } finally {
    await agent.dispose();
  }
}, 60_000);

const CLIENT = `
import { connectTuner } from 'performance-optimizer/client';
const tuner = await connectTuner({ component: 'old', tier: 'advanced', address: process.argv[2], onStatus: ({ state }) => console.log(state) });
// The client keeps no process alive.
const batch = tuner.int('batch_size', { default: 8, min: 1, max: 64 });
batch.onChange((value) => {
  console.log('told ' + value);
  if (value !== 16) return;
  setImmediate(() => {
    console.log('holds ' + batch.value);
    tuner.close();
  });
});
const alive = setInterval(() => tuner.status.reason === 'closed' && clearInterval(alive), 50);
`;

test.each(clientNodes())(
  'the client of the package, in a process on %s',
  async (_version, node) => {
    const agent = new AgentProcess();
    try {
      await agent.start();
      writeFileSync(join(folder, 'client.js'), CLIENT);
      const child = spawn(node, [join(folder, 'client.js'), agent.controlAddress], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const said: string[] = [];
      createInterface({ input: child.stdout }).on('line', (line) => said.push(line));
      const ended = new Promise((resolve) => child.once('close', resolve));
      await agent.line(({ msg, component }) => msg === 'session opened' && component === 'old');
      const main = join(root, 'agent', 'main.ts');
      execFileSync(process.execPath, [
        main,
        'pin',
        'old',
        'batch_size',
        '16',
        '--yes',
        '--address',
        agent.controlAddress,
      ]);
      expect(await ended).toBe(0);
      expect(said).toEqual(['connected', 'told 16', 'holds 16', 'told 8', 'disconnected']);
    } finally {
      await agent.dispose();
    }
  },
  60_000,
);

/** This Node, and every older one that is at hand: the client is promised from 20 on. */
function clientNodes(): readonly (readonly [version: string, path: string])[] {
  const found = new Map<string, string>([[process.version, process.execPath]]);
  for (const place of (process.env.PATH ?? '').split(delimiter)) {
    try {
      const path = join(place, 'node');
      const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim();
      if (Number(/^v(\d+)/.exec(version)?.[1] ?? 0) >= 20 && !found.has(version)) found.set(version, path);
    } catch {
      // No Node there.
    }
  }
  return [...found];
}
