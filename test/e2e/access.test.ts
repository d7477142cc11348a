/** A real agent that wants credentials on its socket: who gets in, what is on record, and what no log shows. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { connectTuner, type TunerStatus } from '../../agent/client/typescript/tuner.ts';
import { runCommandLine } from '../../agent/command/command.ts';
import { AgentProcess } from './agent_process.ts';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const OPERATOR = 'the-operators-secret-42';
const PROCESS = 'the-processes-secret-42';

async function perfopt(environment: Record<string, string>, ...argv: string[]) {
  const out: string[] = [];
  const tell = (text: string): void => void out.push(text);
  const exit = (): void => undefined;
  const onSignal = () => () => undefined;
  const code = await runCommandLine({ argv, environment, out: tell, err: tell, hasColours: false, onSignal, exit });
  return { code, text: out.join('\n') };
}

/** What the agent says to a process that comes with this token. */
async function statusWith(address: string, token: string): Promise<TunerStatus> {
  const { promise, resolve } = Promise.withResolvers<TunerStatus>();
  const tuner = await connectTuner({
    component: 'embedder',
    tier: 'stable',
    address,
    access: { token },
    onStatus: (status) => resolve(status),
  });
  undo.push(() => tuner.close());
  const refused = new Promise<TunerStatus>((settle) => {
    process.once('warning', ({ name, message }) => {
      if (name === 'TunerWarning') settle({ state: 'disconnected', reason: message });
    });
  });
  return Promise.race([promise, refused]);
}

test('an operator by a token file, a process by its token, nobody else; on record, and in no log', async () => {
  const agent = new AgentProcess();
  undo.push(() => agent.dispose());
  const tokenFile = join(agent.folder, 'alice.token');
  writeFileSync(tokenFile, `${OPERATOR}\n`, { mode: 0o600 });
  await agent.start({
    control: {
      socket: join(agent.folder, 'control.sock'),
      address: null,
      access: {
        socket: 'nobody',
        operators: [{ name: 'alice', tokenFile }],
        processes: [{ component: 'embedder', token: PROCESS }],
      },
    },
  });
  // The agent is the second image of its process, and its environment can be read for as long as it lives.
  const environment = `/proc/${agent.pid}/environ`;
  if (existsSync(environment)) expect(readFileSync(environment, 'utf8')).not.toMatch(/secret-42/);
  const address = agent.controlAddress;
  const freeze = ['freeze', '--address', address, '--reason', 'incident', '--yes'];
  expect(await perfopt({}, ...freeze)).toMatchObject({
    code: 1,
    text: expect.stringContaining('a token is needed here'),
  });
  expect(await perfopt({ PERFOPT_CONTROL_TOKEN: PROCESS }, ...freeze)).toMatchObject({
    code: 1,
    text: expect.stringContaining('Freeze is for the role operator; this peer is process of "embedder"'),
  });
  const done = await perfopt({ PERFOPT_CONTROL_TOKEN_FILE: tokenFile }, ...freeze);
  expect(done).toEqual({ code: 0, text: 'operator "alice": everything frozen: incident' });

  expect(await statusWith(address, 'somebody-elses-secret-42')).toMatchObject({
    state: 'disconnected',
    reason: expect.stringContaining('the token is none of those'),
  });
  expect(await statusWith(address, PROCESS)).toMatchObject({ state: 'connected' });

  const { text: audit } = await perfopt({}, 'audit', '--state', join(agent.folder, 'state.db'));
  const [, ...records] = audit.split('\n');
  expect(records).toHaveLength(3);
  expect(records[0]).toMatch(/operator "alice" +socket +Freeze +operator "alice": everything frozen: incident/);
  expect(records[1]).toMatch(/process of "embedder" +socket +Freeze +refused/);
  expect(records[2]).toMatch(/unknown +socket +Freeze +refused/);
  expect(JSON.stringify([agent.lines, audit])).not.toMatch(/secret-42/);
});
