import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openJournal } from '../../agent/adapters/journal/sqlite-journal.ts';
import { runCommandLine } from '../../agent/command/command.ts';
import { renderDefaults } from '../../agent/config/reference.ts';
import type { Decision } from '../../agent/core/model.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'agent', 'main.ts');
let folder = '';
let state = '';

const promoted: Decision = {
  id: 'dec-0002',
  atMs: Date.UTC(2026, 10, 23, 12, 0, 1),
  component: 'embedder\u001b[31m',
  kind: 'promoted',
  strategy: 'probing',
  trialId: 'trial-1',
  changes: [{ knob: 'batch_size', from: 1, to: 8 }],
  reason: 'Seven blocks show the objective 31 % lower.',
  evidence: {
    objective: { responseTimeMean: 0.5, throughput: 0 },
    blocks: [
      { order: 'ABB', startMs: 0, endMs: 40_000, y: [2, 1.6, 1.7], difference: -0.4 },
      { order: 'BAB', startMs: 40_000, endMs: 80_000, y: [1.6, 2, 1.7], difference: Math.log(0.5) },
    ],
    effect: { estimate: -0.312, low: -0.38, high: -0.241, confidence: 0.95, blocks: 7 },
    harmSpent: 0.8,
    signals: { latencyMsP95: 12.345 },
    alternatives: ['batch_size 4: predicted no better'],
  },
};
const started: Decision = {
  id: 'dec-0001',
  atMs: Date.UTC(2026, 10, 23, 11, 0, 0),
  component: 'embedder',
  kind: 'trial_started',
  trialId: 'trial-1',
  changes: [],
  reason: 'A probe pointed this way.',
};
const other: Decision = { ...started, id: 'xyz', component: 'ranker', kind: 'frozen', trialId: 'trial-2' };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfopt-command-'));
  state = join(folder, 'state.db');
  const journal = openJournal({ path: state, log: pino({ level: 'silent' }), maxBytes: 2 ** 26, nowMs: 0 });
  journal.commit([started, other, promoted], undefined);
  const question = {
    who: 'operator "eve"\u001b[2J',
    role: 'operator',
    address: 'socket',
    request: '{}',
    dryRun: false,
  };
  const seq = journal.auditAsked({ ...question, atMs: Date.UTC(2026, 10, 23), action: 'Pin' });
  journal.auditAnswered(seq, false, 'unknown knob');
  journal.auditAsked({ ...question, atMs: Date.UTC(2026, 10, 24), action: 'Freeze' });
  journal.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function perfopt(...argv: string[]) {
  return perfoptIn({}, ...argv);
}

async function perfoptIn(environment: Record<string, string>, ...argv: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine({
    argv,
    environment,
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    hasColours: false,
    onSignal: () => () => undefined,
    exit: () => undefined,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

describe('usage', () => {
  test.each([
    [['explian'], 'unknown command "explian"; did you mean "explain"?'],
    [['frobnicate'], 'unknown command "frobnicate"; commands: run, validate,'],
    [['decisions', '--limt', '3'], 'unknown option "limt"; did you mean "--limit"?'],
    [['decisions', '--limit'], "Option '--limit <value>' argument missing"],
    [['decisions', '--limit', '0'], '--limit 0: allowed: a whole number from 1'],
    [['decisions', '--since', 'yore'], '--since yore: allowed: "30m"'],
    [['decisions', '--kind', 'promotd'], 'did you mean promoted?'],
    [['validate'], 'usage: perfopt validate FILE [--json]'],
    [['explain', 'a', 'b'], 'usage: perfopt explain'],
    [['explain', 'a', '--last'], 'give one of DECISION_ID, --last and --trial'],
    [['mode', 'embedder', 'batch_size', 'fast', '--address', '127.0.0.1:1'], 'mode fast: allowed: observe'],
    [['freeze', '--address', '127.0.0.1:1'], 'say why with --reason'],
    [['snapshot', '--address', 'here'], 'address "here": expected'],
  ])('perfopt %j', async (argv, expected) => {
    const { code, out, err } = await perfopt(...argv);
    expect(err).toContain(expected);
    expect(out).toBe('');
    expect(code).toBe(2);
  });

  test('every command has a help that names it, and the list has them all', async () => {
    const list = (await perfopt('help')).out;
    const names = [...list.matchAll(/^ {2}(\w+) {2}/gm)].map(([, name = '']) => name);
    expect(names).toEqual(expect.arrayContaining(['run', 'validate', 'explain', 'approve', 'pin', 'version']));
    for (const name of names) {
      const { code, out } = await perfopt(name, '--help');
      expect(out).toContain(`perfopt ${name}`);
      expect(code).toBe(0);
    }
  });

  test('nothing at all is wrong usage, and prints the help', async () => {
    expect(await perfopt()).toMatchObject({ code: 2, out: expect.stringContaining('perfopt') });
  });
});

describe('validate and config', () => {
  test('a good file', async () => {
    const file = join(folder, 'good.yaml');
    writeFileSync(file, 'thresholds: { resourceUsage: { cpu: 70 } }\n');
    expect(await perfopt('validate', file)).toEqual({ code: 0, out: `${file}: ok`, err: '' });
  });

  test('a bad file: every problem, exit code 1', async () => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, 'debug: 7\nmonitring: {}\n');
    const { code, err } = await perfopt('validate', file);
    expect(code).toBe(1);
    expect(err.split('\n')).toEqual([
      `${file}:1: debug: 7 is not allowed; allowed: true or false`,
      expect.stringContaining(`${file}:2: monitring: unknown key; did you mean "monitoring"?`),
    ]);
    expect(JSON.parse((await perfopt('validate', file, '--json')).out)).toMatchObject({
      ok: false,
      problems: [{ path: 'debug', line: 1 }, { path: 'monitring' }],
    });
  });

  test('config prints what config/agent.yaml holds', async () => {
    expect((await perfopt('config')).out).toBe(renderDefaults().trimEnd());
    expect(JSON.parse((await perfopt('config', '--schema')).out)).toHaveProperty('properties.monitoring');
  });
});

describe('explain and decisions', () => {
  test('the newest decision: what, why, effect, blocks, harm, alternatives; no control characters', async () => {
    const { code, out } = await perfopt('explain', '--state', state);
    expect(code).toBe(0);
    for (const part of [
      'promoted — the change proved itself and is kept',
      'component:    embedder [31m',
      'time:         2026-11-23 12:00:01Z',
      'change:       batch_size 1 → 8',
      'why:          Seven blocks show the objective 31 % lower.',
      'effect:       −31.2 % [−38.0 %, −24.1 %] (95 % interval, 7 blocks; lower is better)',
      'harm spent:   0.8 log units × windows',
      'objective:    responseTimeMean 0.5\n',
      'signals:      latencyMsP95 12.35',
      '2      BAB    1970-01-01 00:00:40Z  40 s    1.600  2.000  1.700             −50.0 %',
      '- batch_size 4: predicted no better',
    ]) {
      expect(out).toContain(part);
    }
    expect(out.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });

  test('by id, by its beginning, and a trial in order', async () => {
    expect((await perfopt('explain', 'xyz', '-s', state)).out).toContain('frozen');
    expect((await perfopt('explain', 'x', '-s', state)).out).toContain('frozen');
    expect(await perfopt('explain', 'dec-', '-s', state)).toMatchObject({
      code: 1,
      err: '2 decisions begin with dec-: dec-0002, dec-0001',
    });
    const trial: Decision[] = JSON.parse((await perfopt('explain', '--trial', 'trial-1', '--json', '-s', state)).out);
    expect(trial).toEqual([started, promoted]);
    expect(await perfopt('explain', '--trial', 'nope', '-s', state)).toMatchObject({ code: 1 });
    expect(await perfopt('explain', 'nope', '-s', state)).toMatchObject({ code: 1 });
  });

  test('decisions, filtered', async () => {
    const listed = async (...argv: string[]) => {
      const found: Decision[] = JSON.parse((await perfopt('decisions', '-s', state, '--json', ...argv)).out);
      return found.map(({ id }) => id);
    };
    expect(await listed()).toEqual(['dec-0002', 'xyz', 'dec-0001']);
    expect(await listed('--component', 'ranker')).toEqual(['xyz']);
    expect(await listed('--kind', 'promoted')).toEqual(['dec-0002']);
    expect(await listed('--since', '2026-11-23T11:30Z')).toEqual(['dec-0002']);
    expect(await listed('--limit', '1')).toEqual(['dec-0002']);
    expect((await perfopt('decisions', '-s', state)).out).toMatch(
      /dec-0002 .* promoted .* batch_size 1 → 8 .*−31\.2 % \[−38\.0 %, −24\.1 %\]/,
    );
    expect(await perfopt('decisions', '-s', state, '--component', 'none')).toMatchObject({ code: 0, out: '' });
  });

  test('audit: who asked for what, and what came of it', async () => {
    const { code, out } = await perfopt('audit', '--state', state);
    expect(code).toBe(0);
    const [, freeze, pin] = out.split('\n');
    expect(freeze).toMatch(
      /^2026-11-24 00:00:00Z +operator "eve" \[2J +socket +Freeze +not answered before the agent ended$/,
    );
    expect(pin).toMatch(/Pin +refused: unknown knob$/);
    const json = (await perfopt('audit', '--state', state, '--action', 'Pin', '--json')).out;
    expect(JSON.parse(json)).toMatchObject([{ action: 'Pin', outcome: { ok: false } }]);
    expect((await perfopt('audit', '--state', state, '--since', '1m')).err).toBe('nobody has asked for anything');
  });

  test('find the state file through the configuration', async () => {
    const file = join(folder, 'agent.yaml');
    writeFileSync(file, `state: { path: "${state}" }\n`);
    expect((await perfopt('explain', '--config', file)).out).toContain('promoted');
    expect((await perfoptIn({ PERFOPT_CONFIG: file }, 'explain')).out).toContain('promoted');
    const { code, err } = await perfopt('explain', '--state', join(folder, 'none.db'));
    expect(code).toBe(1);
    expect(err).toContain('none.db: there is no such file; no agent has run with it yet');
  });
});

describe('the process', () => {
  test('prints the version', () => {
    const { stdout, status } = spawnSync(process.execPath, [MAIN, '--version'], { encoding: 'utf8' });
    expect(stdout).toMatch(/^performance-optimizer \d+\.\d+\.\d+, Node\.js \d+/);
    expect(status).toBe(0);
  });

  test('on an older Node.js says so in one line, and loads nothing', () => {
    const older = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})';
    const args = ['--import', `data:text/javascript,${encodeURIComponent(older)}`, MAIN, 'version'];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stderr.trimEnd()).toBe('perfopt needs Node.js 24 or newer, and this is 20.1.0: https://nodejs.org');
    expect(stdout).toBe('');
    expect(status).toBe(1);
  });

  test('is not upset by a reader that goes away', async () => {
    const child = spawn(process.execPath, [MAIN, 'config'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(stderr).toBe('');
  });
});
