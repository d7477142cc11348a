import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { type Admitted, Door } from '../../agent/adapters/otlp/door.ts';
import { Turns, type Work } from '../../agent/adapters/otlp/turns.ts';
import type { SampleSink } from '../../agent/core/model.ts';

const FORMAT = 'grpc gzip';

function sinkOf(room: { free: number; capacity: number } | undefined): SampleSink {
  return { accept: () => ({ state: 'accepted', rejected: 0 }), room: () => room };
}

/** A door that knows: one byte is one point. */
function doorOf(room: { free: number; capacity: number }): Door {
  const door = new Door(sinkOf(room));
  const first = door.enter(FORMAT, 10);
  if (first === undefined) throw new Error('the first is always let in');
  door.leave(first);
  door.learn(first, 10);
  return door;
}

test('while nothing is known everything is let in, and where the sink is never full always', () => {
  expect(new Door(sinkOf({ free: 1, capacity: 9 })).hasRoom(FORMAT, 1_000)).toBe(true);
  expect(new Door(sinkOf({ free: 0, capacity: 9 })).hasRoom(FORMAT, 1)).toBe(false);
  expect(new Door(sinkOf(undefined)).hasRoom(FORMAT, 1e9)).toBe(true);
  expect(new Door({ accept: () => ({ state: 'accepted', rejected: 0 }) }).hasRoom(FORMAT, 1e9)).toBe(true);
});

test('a request that is larger than all the room there is gets in alone', () => {
  const room = { free: 100, capacity: 100 };
  const door = doorOf(room);
  const large = door.enter(FORMAT, 500);
  expect(large).toBeDefined();
  expect(door.enter(FORMAT, 1)).toBeUndefined();
  door.leave(large!);
  room.free = 50;
  expect(door.enter(FORMAT, 500)).toBeUndefined();
});

test('formats are told apart, and what they hold is learned', () => {
  const door = doorOf({ free: 99, capacity: 1_000 });
  expect(door.hasRoom(FORMAT, 100)).toBe(false);
  expect(door.hasRoom('grpc none', 100)).toBe(true);
  const plain = door.enter('grpc none', 100)!;
  door.leave(plain);
  door.learn(plain, 1);
  expect(door.hasRoom('grpc none', 9_000)).toBe(true);
});

test('what is let in never exceeds the room, and leaving gives all of it back', () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constant('leave' as const)), { maxLength: 100 });
  fc.assert(
    fc.property(steps, (all) => {
      const door = doorOf({ free: 900, capacity: 1_000 });
      const inside: Admitted[] = [];
      for (const step of all) {
        const held = inside.reduce((sum, { expectedPoints }) => sum + expectedPoints, 0);
        if (step === 'leave') {
          const first = inside.shift();
          if (first !== undefined) door.leave(first);
          continue;
        }
        const admitted = door.enter(FORMAT, step);
        expect(admitted !== undefined).toBe(held + step <= 900 && held < 900);
        if (admitted !== undefined) inside.push(admitted);
      }
      for (const one of inside) door.leave(one);
      expect(door.enter(FORMAT, 900)).toBeDefined();
    }),
  );
});

test('little work is done at once; much in turns and in order, and others get theirs between', async () => {
  const turns = new Turns();
  const done: string[] = [];
  turns.run(() => void done.push('first'));
  expect(done).toEqual(['first']);
  const busy = (name: string) => (): undefined => {
    const untilMs = performance.now() + 6;
    while (performance.now() < untilMs) {}
    done.push(name);
  };
  const all = new Promise<void>((resolve) => {
    for (const name of ['a', 'b', 'c']) turns.run(busy(name));
    turns.run(() => void resolve());
  });
  expect(done).toEqual(['first', 'a']);
  setImmediate(() => done.push('other'));
  await all;
  expect(done).toEqual(['first', 'a', 'b', 'other', 'c']);
});

test('while many are refused, work waits, but not for ever', async () => {
  const turns = new Turns();
  const done: string[] = [];
  const busy = (): undefined => {
    const untilMs = performance.now() + 6;
    while (performance.now() < untilMs) {}
  };
  turns.run(busy);
  const worked = new Promise<void>((resolve) => turns.run(() => void resolve())).then(() => done.push('work'));
  let rounds = 0;
  const crowd = (): void => {
    if (done.length > 0) return;
    rounds += 1;
    for (let i = 0; i < 10; i++) turns.refused();
    setImmediate(crowd);
  };
  crowd();
  await worked;
  expect(rounds).toBeGreaterThanOrEqual(4);
  expect(rounds).toBeLessThanOrEqual(7);
});

const parts = (done: string[], name: string, left: number) => (): Work | undefined => {
  done.push(`${name}${left}`);
  return left === 0 ? undefined : parts(done, name, left - 1);
};

test('what is large is done in parts, a turn for each, and nothing else of it before it is whole', async () => {
  const turns = new Turns();
  const done: string[] = [];
  turns.run(parts(done, 'a', 2));
  expect(done).toEqual(['a2']);
  const other = (): void => {
    done.push('other');
    if (done.length < 6) setImmediate(other);
  };
  setImmediate(other);
  await vi.waitUntil(() => done.length >= 6);
  expect(done).toEqual(['a2', 'a1', 'other', 'a0', 'other', 'other']);
});

test('while others wait, parts follow one another', async () => {
  const turns = new Turns();
  const done: string[] = [];
  turns.run(parts(done, 'a', 2));
  turns.run(parts(done, 'b', 1));
  const all = new Promise<void>((resolve) => turns.run(() => void resolve()));
  setImmediate(() => done.push('other'));
  await all;
  expect(done).toEqual(['a2', 'a1', 'a0', 'b1', 'b0']);
});
