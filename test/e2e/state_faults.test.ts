/** What becomes of a running agent whose state file cannot be written, or cannot be believed. Real files, a real SQLite. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { JournalError } from '../../agent/adapters/journal/journal.ts';
import { openJournal } from '../../agent/adapters/journal/sqlite-journal.ts';
import { AgentProcess } from './agent_process.ts';
import { AiProcess } from './ai_process.ts';

const MIB = 1024 ** 2;
const LONG = { timeout: 120_000 };
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function newAgent(): AgentProcess {
  const agent = new AgentProcess();
  undo.push(() => agent.dispose());
  return agent;
}

async function startProcess(agent: AgentProcess): Promise<AiProcess> {
  const process = await AiProcess.start({
    component: 'embedder',
    otlpUrl: agent.otlpUrl,
    controlAddress: agent.controlAddress,
    latencyS: (batch) => 0.2 / batch ** 0.7,
  });
  undo.push(() => process.stop());
  return process;
}

/** Fills a state file up to its limit with old decisions, but for one. */
function fill(path: string): number {
  const journal = openJournal({ path, log: pino({ level: 'silent' }), maxBytes: MIB, nowMs: 0 });
  let n = 0;
  try {
    for (;;) {
      const old = {
        id: `old-${n}`,
        atMs: n,
        component: 'x',
        kind: 'futile',
        changes: [],
        reason: 'x'.repeat(3_000),
      } as const;
      journal.commit([old], undefined);
      n++;
    }
  } catch (error) {
    expect(error).toBeInstanceOf(JournalError);
    expect(error).toMatchObject({ fault: 'full' });
  }
  journal.prune(1);
  journal.close();
  return n - 1;
}

test(
  'full: said loudly, tuning stops and what was tried is taken back; with room again, it goes on, and nothing is lost',
  LONG,
  async () => {
    const agent = newAgent();
    const path = join(agent.folder, 'state.db');
    const old = fill(path);
    await agent.start({ state: { path, maxBytes: MIB, maintenance: '0 0 1 1 *' } });
    const process = await startProcess(agent);
    const failed = await agent.line(({ msg }) => msg === 'the journal cannot be written');
    expect(failed).toMatchObject({ level: 'error', err: { message: expect.stringContaining('free disk space') } });
    const frozen = await agent.line(({ kind }) => kind === 'frozen');
    expect(frozen).toMatchObject({ level: 'warn', unsaved: true });
    // It tries again, ever more patiently, and tries nothing else.
    const failures = (): number => agent.lines.filter(({ msg }) => msg === 'the journal cannot be written').length;
    const before = failures();
    await agent.line(() => failures() > before + 2);
    const after = agent.lines.slice(agent.lines.indexOf(frozen));
    expect(after.filter(({ kind }) => kind === 'trial_started')).toEqual([]);
    await process.status('connected');
    await agent.kill();
    const from = agent.lines.length;
    await agent.start();
    await agent.decision('embedder', ['trial_started'], from);
    const kept = agent.decisions();
    expect(kept.filter(({ id }) => id.startsWith('old-'))).toHaveLength(old);
  },
);

test('a saved state that cannot be read: said loudly, a clean start, every decision still there', LONG, async () => {
  const agent = newAgent();
  const path = join(agent.folder, 'state.db');
  await agent.start();
  const process = await startProcess(agent);
  const started = await agent.decision('embedder', ['trial_started']);
  await agent.kill();
  const database = new DatabaseSync(path);
  database.exec(`UPDATE state SET json = '{ "version": 1, "random": [' WHERE key = 'engine'`);
  database.close();
  const from = agent.lines.length;
  await agent.start();
  expect(await agent.line(({ msg }) => msg.startsWith('the saved state cannot be used'), from)).toMatchObject({
    level: 'error',
  });
  expect(agent.decisions().map(({ id }) => id)).toContain(started.id);
  await process.status('connected');
  await agent.decision('embedder', ['trial_started'], from);
});

test('where nobody can write: it does not start, and says which file and what to do', async () => {
  const path = '/sys/performance-optimizer/state.db';
  await expect(newAgent().start({ state: { path } })).rejects.toThrow(
    /\/sys\/performance-optimizer\/state\.db.*set state\.path to a file in a folder that this user may write/,
  );
});
