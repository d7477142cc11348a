/** `perfopt top` and `knobs` against a real control server, on a terminal and without one. */
import { afterEach, expect, test } from 'vitest';
import type { ComponentSnapshot } from '../../agent/adapters/control/ports.ts';
import { runCommandLine } from '../../agent/command/command.ts';
import type { Screen } from '../../agent/command/shell.ts';
import type { KnobSpec } from '../../agent/core/model.ts';
import { Arrivals, command, type Rig, startRig } from '../wire/control-rig.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const spec: KnobSpec = {
  ...{ id: 'batch_size', type: 'int', min: 1, max: 64, scale: 'linear', baseline: 8, description: '', unit: '1' },
  ...{ role: 'batch', applyClass: 'hot', settleMs: 0, ceilingAtBoot: false },
};
const EMBEDDER: ComponentSnapshot = {
  ...{
    component: 'embedder',
    tier: 'advanced',
    connected: true,
    frozen: false,
    revisions: [],
    proposals: [],
    proven: [],
  },
  knobs: [
    {
      spec,
      desired: 16,
      effective: 8,
      mode: 'auto',
      pinned: true,
      attemptedRevision: 2,
      effectiveRevision: 1,
      lastError: 'no\u001b[2J',
    },
  ],
  openTrial: {
    trialId: 't1',
    strategy: 'probing',
    startMs: 0,
    changes: [{ knob: 'batch_size', from: 8, to: 16 }],
    blocks: 3,
  },
};

interface Agent extends Rig {
  /** What the agent believes of the knob from now on. */
  set(effective: number): void;
}

async function agent(): Promise<Agent> {
  let knobs = EMBEDDER.knobs;
  const component = (): ComponentSnapshot => ({ ...EMBEDDER, knobs });
  const rig = await startRig(
    { listen: ['127.0.0.1:0'], epoch: 7 },
    {
      snapshot: () => ({ atMs: 1_000, frozen: true, components: [component()] }),
      component,
      decisions: () => [
        { id: 'd1', atMs: 1_000, component: 'embedder', kind: 'promoted', changes: [], reason: 'seven\nblocks' },
      ],
    },
  );
  cleanups.push(rig.stop);
  const touch = (): void => rig.server.perform({ kind: 'command', command: command({ component: 'embedder' }) });
  touch();
  return {
    ...rig,
    set(effective) {
      knobs = knobs.map((knob) => ({ ...knob, effective }));
      touch();
    },
  };
}

function perfopt(address: string, argv: readonly string[], screen?: () => Screen) {
  const out = new Arrivals<string>();
  const signals: ((signal: 'SIGINT') => void)[] = [];
  const code = runCommandLine({
    argv,
    environment: { PERFOPT_CONTROL_ADDRESS: address },
    out: out.push,
    err: out.push,
    hasColours: false,
    onSignal: (handler) => {
      signals.push(handler);
      return () => undefined;
    },
    exit: () => undefined,
    ...(screen && { screen }),
  });
  return { code, out, interrupt: () => signals.at(-1)?.('SIGINT') };
}

test('top without a terminal is one look: components, trial, knobs, decisions, and nothing that steers a terminal', async () => {
  const { address } = await agent();
  const { code, out } = perfopt(address, ['top']);
  expect(await code).toBe(0);
  const [frame = ''] = out.all;
  expect(frame).toContain('perfopt top · epoch 7 · 1970-01-01 00:00:01Z · FROZEN');
  expect(frame).toMatch(/embedder +advanced +connected .* probing, 3 blocks: batch_size 8 → 16/);
  expect(frame).toMatch(/batch_size +8 +16 +auto +pinned +no \[2J/);
  expect(frame).toMatch(/promoted +seven blocks/);
  const json = perfopt(address, ['top', '--json']);
  expect(await json.code).toBe(0);
  expect(JSON.parse(json.out.all[0] ?? '')).toMatchObject({ snapshot: { epoch: '7' }, decisions: [{ id: 'd1' }] });
});

test('top on a terminal draws again and again, cut to its size, until q; an agent that goes away is said', async () => {
  const { address, set, stop } = await agent();
  const frames = new Arrivals<string>();
  let press = (_key: string): void => {};
  let isClosed = false;
  const screen = (): Screen => ({
    rows: 12,
    columns: 66,
    draw: frames.push,
    onKey: (handler) => {
      press = handler;
    },
    close: () => {
      isClosed = true;
    },
  });
  const { code } = perfopt(address, ['top', '--interval', '500ms'], screen);
  const first = await frames.next();
  expect(first).toContain('q to quit');
  expect(Math.max(...first.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(66);
  expect(first.split('\n').length).toBeLessThanOrEqual(12);
  set(32);
  await frames.first((frame) => /batch_size +32/.test(frame));
  await stop();
  await frames.first((frame) => frame.startsWith('the agent does not answer'));
  press('q');
  expect(await code).toBe(0);
  expect(isClosed).toBe(true);
});

test('knobs lists them, and with --watch tells every change until it is interrupted', async () => {
  const { address, set } = await agent();
  const { code, out } = perfopt(address, ['knobs']);
  expect(await code).toBe(0);
  expect(out.all[0]).toMatch(/component +knob +in force +wanted/);
  expect(out.all[0]).toMatch(/batch_size +8 +16 +auto +pinned +1/);
  const watching = perfopt(address, ['knobs', '--watch', '--json']);
  expect(JSON.parse(await watching.out.next())).toMatchObject({ isSnapshot: true, revision: '1' });
  set(32);
  expect(JSON.parse(await watching.out.next())).toMatchObject({
    updates: [{ knob: 'batch_size', revision: '2', status: { effective: { intValue: '32' } } }],
  });
  watching.interrupt();
  expect(await watching.code).toBe(0);
});

test('an interval that makes no sense is refused with what does', async () => {
  const { code, out } = perfopt('127.0.0.1:1', ['top', '--interval', '1ms']);
  expect(await code).toBe(2);
  expect(out.all[0]).toBe('--interval 1ms: allowed: "500ms" to "1h"');
});
