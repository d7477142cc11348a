import { describe, expect, test } from 'vitest';
import { TransientRejection } from '../../agent/client/typescript/knob.ts';
import { ClientRig, clientCommand, intSpec, settle } from '../contract/control-client-rig.ts';

function rig() {
  const made = new ClientRig();
  const batch = made.declare(intSpec('batch'));
  const queue = made.declare(intSpec('queue'));
  made.holdings.welcome(1);
  return { made, batch, queue, holdings: made.holdings, clock: made.clock };
}

const to = (value: number, knob = 'batch') => ({ knob, value });

describe('which commands are obeyed', () => {
  test('none before a welcome, none of another epoch, none at or below what was obeyed', async () => {
    const early = new ClientRig();
    const knob = early.declare(intSpec('batch'));
    await early.obey(clientCommand(1, [to(16)]));
    expect(knob.value).toBe(8);

    const { made, batch } = rig();
    await made.obey(clientCommand(5, [to(16)]));
    await made.obey(clientCommand(5, [to(17)], { commandId: 'forged' }));
    await made.obey(clientCommand(4, [to(18)]));
    await made.obey(clientCommand(6, [to(19)], { epoch: 2 }));
    expect(batch.value).toBe(16);
    for (const id of ['forged', 'c/1/4', 'c/2/6'])
      expect(made.answerTo(id)).toMatchObject([
        { state: 'superseded', effectiveValue: 16, error: expect.stringContaining('stale') },
      ]);
  });

  test('a replay applies nothing and gets the same answer, with the nonce it came with', async () => {
    const { made, batch } = rig();
    let told = 0;
    batch.listeners.add(() => {
      told++;
    });
    const command = clientCommand(1, [to(16)]);
    await made.obey(command, 'first');
    await made.obey(command, 'second');
    expect(told).toBe(1);
    expect(made.results.map(({ nonce }) => nonce)).toEqual(['first', 'second']);
    expect(made.results[0]?.results).toEqual(made.results[1]?.results);
  });

  test('a replay after the lease ran out is not told that the value is in force', async () => {
    const { made, clock, batch } = rig();
    const command = clientCommand(1, [to(16)]);
    await made.obey(command);
    clock.advance(1_000);
    await made.obey(command, 'late');
    expect(made.results.at(-1)).toMatchObject({ nonce: 'late', results: [{ state: 'expired', effectiveValue: 8 }] });
    expect(batch.value).toBe(8);
  });

  test('compare-and-set refuses for now when someone else has written', async () => {
    const { made, batch } = rig();
    await made.obey(clientCommand(1, [{ ...to(16), expectedCurrent: 9 }]));
    expect(made.answerTo('c/1/1')).toMatchObject([
      { state: 'rejected_transient', error: 'holds 8, not 9 as expected' },
    ]);
    await made.obey(clientCommand(2, [{ ...to(16), expectedCurrent: 8 }]));
    expect(batch.value).toBe(16);
  });

  test.each([
    [{ knob: 'nope', value: 1 }, 'there is no knob "nope"'],
    [to(101), '101 is outside 1 to 100'],
    [to(1.5), '1.5 is not a whole number'],
    [{ knob: 'batch', value: 'x' }, '"x" is not a finite number'],
    [{ knob: 'boot', value: 2 }, 'only a restart can change this knob'],
  ])('%o is refused for good', async (change, error) => {
    const { made } = rig();
    made.declare(intSpec('boot', { applyClass: 'restart' }));
    await made.obey(clientCommand(1, [change]));
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'rejected_permanent', error }]);
  });
});

describe('several changes at once', () => {
  test('per knob: valid siblings apply', async () => {
    const { made, batch, queue } = rig();
    await made.obey(clientCommand(1, [to(101), to(20, 'queue')]));
    expect([batch.value, queue.value]).toEqual([8, 20]);
  });

  test('all: one that is not allowed, and nobody is even asked', async () => {
    const { made, batch, queue } = rig();
    let asked = 0;
    batch.listeners.add(() => {
      asked++;
    });
    await made.obey(clientCommand(1, [to(16), to(101, 'queue')], { atomicity: 'all' }));
    expect([asked, batch.value, queue.value]).toEqual([0, 8, 8]);
    expect(made.answerTo('c/1/1')).toMatchObject([
      { knob: 'queue', state: 'rejected_permanent' },
      { knob: 'batch', state: 'rolled_back', effectiveValue: 8, effectiveRevision: 0 },
    ]);
  });

  test('all: one that a listener refuses, and the others are restored and told so', async () => {
    const { made, batch, queue } = rig();
    const told: number[] = [];
    await made.obey(clientCommand(1, [to(10)]));
    batch.listeners.add((value) => {
      told.push(Number(value));
    });
    queue.listeners.add(() => {
      throw new TransientRejection('busy');
    });
    await made.obey(clientCommand(2, [to(16), to(20, 'queue')], { atomicity: 'all' }));
    expect(told).toEqual([16, 10]);
    expect([batch.value, queue.value]).toEqual([10, 8]);
    expect(made.answerTo('c/1/2')).toMatchObject([
      { knob: 'queue', state: 'rejected_transient', error: 'busy' },
      { knob: 'batch', state: 'rolled_back', effectiveValue: 10, effectiveRevision: 1 },
    ]);
  });

  test('validate only: an answer, and nothing else', async () => {
    const { made, batch } = rig();
    let asked = 0;
    batch.listeners.add(() => {
      asked++;
    });
    await made.obey(clientCommand(1, [to(16), to(101, 'queue')], { validateOnly: true }));
    expect(made.answerTo('c/1/1')).toMatchObject([
      { state: 'applied', effectiveValue: 8 },
      { state: 'rejected_permanent' },
    ]);
    expect([asked, batch.value]).toEqual([0, 8]);
    // It held nothing up: the same revision can be commanded still.
    await made.obey(clientCommand(1, [to(16)], { commandId: 'real' }));
    expect(batch.value).toBe(16);
  });
});

describe('listeners that take their time', () => {
  test('the value counts when the listener has agreed', async () => {
    const { made, batch } = rig();
    const { promise, resolve } = deferred();
    batch.listeners.add(() => promise);
    await made.obey(clientCommand(1, [to(16)]));
    expect([batch.value, made.results.length]).toEqual([8, 0]);
    resolve();
    await settle();
    expect([batch.value, made.answerTo('c/1/1')?.[0]?.state]).toEqual([16, 'applied']);
  });

  test('one that misses the deadline has refused for now, and is told what is in force when it agrees after all', async () => {
    const { made, clock, batch } = rig();
    const { promise, resolve } = deferred();
    const told: number[] = [];
    batch.listeners.add((value) => {
      told.push(Number(value));
      return told.length === 1 ? promise : undefined;
    });
    await made.obey(clientCommand(1, [to(16)]));
    clock.advance(500);
    await settle();
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'rejected_transient', effectiveValue: 8 }]);
    resolve();
    await settle();
    expect(told).toEqual([16, 8]);
  });

  test('one that refuses after another agreed: the other is told the value in force', async () => {
    const { made, batch } = rig();
    const told: number[] = [];
    batch.listeners.add((value) => {
      told.push(Number(value));
    });
    batch.listeners.add(async () => {
      throw new Error('no room');
    });
    await made.obey(clientCommand(1, [to(16)]));
    expect(told).toEqual([16, 8]);
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'rejected_permanent', error: 'no room' }]);
  });

  test('a newer command supersedes what waits and what has not begun; only the latest waits', async () => {
    const { made, batch, queue } = rig();
    const { promise, resolve } = deferred();
    batch.listeners.add((value) => (value === 16 ? promise : undefined));
    await made.obey(clientCommand(1, [to(16), to(20, 'queue')]));
    await made.obey(clientCommand(2, [to(17)]));
    await made.obey(clientCommand(3, [to(18)]));
    expect(made.answerTo('c/1/2')).toMatchObject([{ state: 'superseded' }]);
    resolve();
    await settle();
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'applied' }, { knob: 'queue', state: 'superseded' }]);
    expect(made.answerTo('c/1/3')).toMatchObject([{ state: 'applied', effectiveValue: 18 }]);
    expect([batch.value, queue.value]).toEqual([18, 8]);
  });

  test('a value that is gone by the time its command is answered is not reported as applied', async () => {
    const { made, batch, queue, holdings } = rig();
    const { promise, resolve } = deferred();
    queue.listeners.add(() => promise);
    await made.obey(clientCommand(1, [to(16), to(20, 'queue')]));
    expect(batch.value).toBe(16);
    holdings.override(batch, 12);
    resolve();
    await settle();
    expect(made.answerTo('c/1/1')).toMatchObject([
      { knob: 'batch', state: 'superseded', effectiveValue: 12, effectiveRevision: 0 },
      { knob: 'queue', state: 'applied', effectiveValue: 20 },
    ]);
  });

  test('all or none: nothing is in force before the last has agreed', async () => {
    const { made, batch, queue } = rig();
    const { promise, resolve } = deferred();
    queue.listeners.add(() => promise);
    await made.obey(clientCommand(1, [to(16), to(20, 'queue')], { atomicity: 'all' }));
    expect([batch.value, queue.value]).toEqual([8, 8]);
    resolve();
    await settle();
    expect([batch.value, queue.value]).toEqual([16, 20]);
  });

  test('a knob that drains says so first, has ten deadlines, and its lease begins when it is done', async () => {
    const { made, clock, holdings } = rig();
    const pool = made.declare(intSpec('pool', { applyClass: 'drain' }));
    const { promise, resolve } = deferred();
    pool.listeners.add((value) => (value === 16 ? promise : undefined));
    await made.obey(clientCommand(1, [to(16, 'pool')]));
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'draining', effectiveValue: 8 }]);
    clock.advance(4_000);
    resolve();
    await settle();
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'applied', effectiveValue: 16 }]);
    clock.advance(999);
    expect(pool.value).toBe(16);
    clock.advance(1);
    expect(pool.value).toBe(8);

    // With the agent gone nobody stands by it any more: it is given up as soon as it is in force.
    const again = deferred();
    pool.listeners.clear();
    pool.listeners.add((value) => (value === 20 ? again.promise : undefined));
    await made.obey(clientCommand(2, [to(20, 'pool')]));
    holdings.part();
    clock.advance(4_000);
    again.resolve();
    await settle();
    clock.advance(0);
    expect(pool.value).toBe(8);
  });
});

describe('leases', () => {
  test('a renewal gives another lease to what it covers', async () => {
    const { made, clock, batch, queue, holdings } = rig();
    await made.obey(clientCommand(1, [to(16)]));
    await made.obey(clientCommand(2, [to(20, 'queue')]));
    clock.advance(900);
    holdings.renew(1, 1, 1_000);
    holdings.renew(9, 9, 1_000);
    clock.advance(100);
    expect([batch.value, queue.value]).toEqual([16, 8]);
    clock.advance(900);
    expect(batch.value).toBe(8);
    expect(made.results.slice(2)).toMatchObject([
      {
        commandId: 'c/1/2',
        nonce: '',
        results: [{ knob: 'queue', state: 'expired', attemptedRevision: 2, effectiveRevision: 0 }],
      },
      { commandId: 'c/1/1', nonce: '', results: [{ knob: 'batch', state: 'expired', effectiveValue: 8 }] },
    ]);
  });

  test('hold keeps the value; last_good returns to the one before that was stood by', async () => {
    const { made, clock, batch, queue, holdings } = rig();
    await made.obey(clientCommand(1, [to(16)], { onExpiry: 'hold' }));
    clock.advance(1_000);
    expect(batch.value).toBe(16);
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'expired', effectiveValue: 16, effectiveRevision: 1 }]);

    await made.obey(clientCommand(2, [to(20, 'queue')]));
    holdings.renew(1, 2, 1_000);
    await made.obey(clientCommand(3, [to(30, 'queue')], { onExpiry: 'last_good' }));
    clock.advance(1_000);
    expect(queue.value).toBe(20);
    expect(holdings.held).toMatchObject([
      { knob: 'batch', value: 16 },
      { knob: 'queue', value: 20, revision: 2 },
    ]);
  });

  test('every value is given up before any listener is told, and one that throws harms nobody', async () => {
    const { made, clock, batch, queue } = rig();
    await made.obey(clientCommand(1, [to(16), to(20, 'queue')]));
    const seen: unknown[] = [];
    batch.listeners.add(() => {
      seen.push(queue.value);
      throw new Error('too bad');
    });
    batch.listeners.add(async () => {
      throw new Error('too bad as well');
    });
    queue.listeners.add((value) => {
      seen.push(value);
    });
    clock.advance(1_000);
    await settle();
    expect(seen).toEqual([8, 8]);
    expect(made.results.at(-1)?.results).toHaveLength(2);
  });

  test('closing gives everything up', async () => {
    const { made, batch, holdings } = rig();
    await made.obey(clientCommand(1, [to(16)]));
    holdings.release();
    expect([batch.value, holdings.held]).toEqual([8, []]);
  });
});

describe('revocations', () => {
  test('take back what was commanded up to their revision, and nothing newer', async () => {
    const { made, batch, queue, holdings } = rig();
    await made.obey(clientCommand(1, [to(16)]));
    await made.obey(clientCommand(3, [to(20, 'queue')]));
    holdings.revoke(1, 2, ['batch', 'queue', 'nope'], 'why');
    holdings.revoke(2, 9, ['queue'], 'forged');
    expect([batch.value, queue.value]).toEqual([8, 20]);
  });

  test('win over a command that is being applied', async () => {
    const { made, batch, holdings } = rig();
    const { promise, resolve } = deferred();
    const told: number[] = [];
    batch.listeners.add((value) => {
      told.push(Number(value));
      return value === 16 ? promise : undefined;
    });
    await made.obey(clientCommand(1, [to(16)]));
    holdings.revoke(1, 2, ['batch'], 'why');
    resolve();
    await settle();
    expect(made.answerTo('c/1/1')).toMatchObject([{ state: 'superseded', effectiveValue: 8 }]);
    expect([batch.value, told.at(-1)]).toEqual([8, 8]);
  });
});

describe('a hand', () => {
  test('wins: the value stays until a command knows of it', async () => {
    const { made, clock, batch, holdings } = rig();
    await made.obey(clientCommand(1, [to(16)]));
    holdings.override(batch, 12);
    clock.advance(5_000);
    holdings.revoke(1, 2, ['batch'], 'why');
    await made.obey(clientCommand(3, [to(20)]));
    expect(batch.value).toBe(12);
    expect(made.answerTo('c/1/3')).toMatchObject([{ state: 'rejected_transient', error: 'was set by hand to 12' }]);
    expect(holdings.held).toEqual([{ knob: 'batch', value: 12, epoch: 0, revision: 0, manual: true }]);
    await made.obey(clientCommand(4, [{ ...to(20), expectedCurrent: 12 }]));
    expect([batch.value, holdings.held[0]?.manual]).toEqual([20, false]);
  });

  test('is refused out of range, by a listener, and inside a listener, and then nothing has changed', () => {
    const { made, batch, holdings } = rig();
    expect(() => holdings.override(batch, 0)).toThrow('knob "batch": 0 is outside 1 to 100');
    batch.listeners.add((value) => {
      if (value === 9) throw new Error('not nine');
      if (value === 10) holdings.override(batch, 11);
    });
    expect(() => holdings.override(batch, 9)).toThrow('not nine');
    expect(() => holdings.override(batch, 10)).toThrow('from inside its own onChange listener');
    expect([batch.value, made.reports]).toEqual([8, []]);
  });
});

describe('agents that come and go', () => {
  test('what is held is declared, with the word it is held on', async () => {
    const { made, holdings } = rig();
    await made.obey(clientCommand(7, [to(16)]));
    expect(holdings.held).toEqual([{ knob: 'batch', value: 16, epoch: 1, revision: 7, manual: false }]);
    expect(holdings.lastSeenRevision).toBe(7);
  });

  test('an agent that lost its state is refused while anything is held, and obeyed once nothing is', async () => {
    const { made, clock, batch, holdings } = rig();
    holdings.welcome(5);
    await made.obey(clientCommand(9, [to(16)], { epoch: 5 }));
    holdings.part();
    holdings.welcome(1);
    await made.obey(clientCommand(1, [to(20)]));
    expect(batch.value).toBe(16);
    clock.advance(1_000);
    await made.obey(clientCommand(2, [to(20)]));
    expect(batch.value).toBe(20);
  });
});

describe('reading back', () => {
  test('what the process says is reported, and what makes no sense is not', async () => {
    const made = new ClientRig();
    made.holdings.welcome(1);
    made.declare(intSpec('a'), () => 15);
    made.declare(intSpec('b'), () => Number.NaN);
    made.declare(intSpec('c'), () => {
      throw new Error('cannot say');
    });
    await made.obey(
      clientCommand(
        1,
        ['a', 'b', 'c'].map((knob) => to(16, knob)),
      ),
    );
    expect(made.answerTo('c/1/1')?.map(({ effectiveValue }) => effectiveValue)).toEqual([15, 16, 16]);
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
