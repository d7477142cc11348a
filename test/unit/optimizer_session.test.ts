import { expect, test } from 'vitest';
import type { Command, Input } from '../../agent/core/model.ts';
import { LocalSession } from '../../agent/optimizer/local-session.ts';
import { VirtualClock } from '../contract/control-client-rig.ts';
import { command } from '../wire/control-rig.ts';
import { Embedder } from './optimizer_rig.ts';

/** A component with its session, after a command was obeyed. */
async function obeying(changes: Command['changes']) {
  const component = new Embedder({ batch: 4, on: true }, { batch: { min: 1, max: 64 }, on: {} });
  const clock = new VirtualClock();
  const said: Input[] = [];
  const posted = (input: Input): void => {
    said.push(input);
  };
  const session = new LocalSession({ component, epoch: 1, clock, incarnation: 1, post: posted });
  session.open();
  session.perform({ kind: 'command', command: command({ component: 'embedder', changes }) });
  // The answer comes in its own turn.
  await new Promise<void>((turn) => setImmediate(turn));
  return { component, clock, said, session };
}

const CHANGES = [
  { knob: 'batch', value: 16 },
  { knob: 'on', value: false },
  { knob: 'timeout', value: 500 },
];

test('a command sets the fields, is answered with what stands there, and goes back to the recorded values', async () => {
  const { component, said, session } = await obeying(CHANGES);
  expect(component).toMatchObject({ timeout: 500, config: { batch: 16, on: false } });
  expect(session.isTuned).toBe(true);
  expect(said.map(({ kind }) => kind)).toEqual(['session', 'result']);
  session.perform({ kind: 'revoke', component: 'embedder', epoch: 1, revision: 2, knobs: ['batch'], reason: 'enough' });
  expect(component.config.batch).toBe(4);
  session.close('the end');
  expect(component).toMatchObject({ timeout: 1_000, config: { batch: 4, on: true } });
  expect(said.at(-1)).toMatchObject({ kind: 'session', event: 'closed' });
});

test('without renewals a lease runs out here, and the values go back by themselves', async () => {
  const { component, clock, session } = await obeying(CHANGES);
  clock.advance(59_000);
  session.perform({ kind: 'renewal', component: 'embedder', epoch: 1, revision: 1, leaseTtlMs: 10_000 });
  clock.advance(9_000);
  expect(component.config.batch).toBe(16);
  clock.advance(2_000);
  expect(component).toMatchObject({ timeout: 1_000, config: { batch: 4, on: true } });
  expect(session.isTuned).toBe(false);
});

test('a hand wins: within its domain it is announced, beyond it stays all the same', async () => {
  const { component, said, session } = await obeying(CHANGES);
  component.timeout = 700;
  expect(session.watch()).toBe(true);
  expect(said.at(-1)).toEqual({ kind: 'override', component: 'embedder', knob: 'timeout', value: 700 });
  component.config.batch = 1_000;
  expect(session.watch()).toBe(false);
  session.close('declared anew');
  expect(component).toMatchObject({ timeout: 700, config: { batch: 1_000, on: true } });
});

test('a value outside its range, or of a knob that is not there, is refused with what is allowed', async () => {
  const { component, said } = await obeying([{ knob: 'batch', value: 65 }]);
  expect(component.config.batch).toBe(4);
  expect(said.at(-1)).toMatchObject({ results: [{ state: 'rejected_permanent', error: '65 is outside 1 to 64' }] });
});
