import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Command, KnobSpec } from '../../agent/core/model.ts';
import { ClientModel } from '../sim/client_model.ts';
import { Channel } from '../sim/network.ts';
import { Random } from '../sim/random.ts';
import { Schedule } from '../sim/schedule.ts';

const SPECS: readonly KnobSpec[] = [
  {
    ...{ id: 'a', type: 'int', min: 0, max: 10, scale: 'linear', baseline: 3, description: '', unit: '1' },
    ...{ role: 'other', applyClass: 'hot', settleMs: 0, ceilingAtBoot: false },
  },
  {
    ...{ id: 'b', type: 'double', min: 0, max: 1, scale: 'linear', baseline: 0.5, description: '', unit: '1' },
    ...{ role: 'other', applyClass: 'hot', settleMs: 0, ceilingAtBoot: false },
  },
];
const HONEST = {
  ...{ rejectTransient: 0, rejectPermanent: 0, silent: 0, untoldExpiry: 0, misapply: 0 },
  applyMs: [0, 0] as [number, number],
};

function client(faults = HONEST): ClientModel {
  const identity = { component: 'c', tier: 'advanced' as const, instanceUid: 'i', incarnation: 1 };
  return new ClientModel(identity, SPECS, faults, new Random(1));
}

function command(epoch: number, revision: number, changes: Command['changes'], more: Partial<Command> = {}): Command {
  return {
    ...{ commandId: `${epoch}/${revision}`, component: 'c', epoch, revision, changes, atomicity: 'all' },
    ...{ validateOnly: false, leaseTtlMs: 100, onExpiry: 'baseline', applyDeadlineMs: 50 },
    ...{ rationale: { strategy: 's', reason: 'r' }, ...more },
  };
}

describe('client model', () => {
  test('holds absolute values under a lease, and is back at its baseline when nobody renews', () => {
    const model = client();
    model.onCommand(command(1, 1, [{ knob: 'a', value: 7 }]), 0);
    expect(model.setting).toEqual({ a: 7, b: 0.5 });
    model.onRenewal(1, 1, 100, 90);
    model.advance(150);
    expect(model.setting).toEqual({ a: 7, b: 0.5 });
    expect(model.nextMs).toBe(190);
    model.takeMessages();
    model.advance(190);
    expect(model.setting).toEqual({ a: 3, b: 0.5 });
    expect(model.takeMessages()).toMatchObject([{ commandId: '1/1', results: [{ knob: 'a', state: 'expired' }] }]);
  });

  test('answers a replay from memory and does not apply it again', () => {
    const model = client();
    model.onCommand(command(1, 1, [{ knob: 'a', value: 7 }]), 0);
    const [first] = model.takeMessages();
    model.onCommand(command(1, 2, [{ knob: 'a', value: 8 }]), 1);
    model.takeMessages();
    model.onCommand(command(1, 1, [{ knob: 'a', value: 7 }]), 2);
    expect(model.takeMessages()).toEqual([first]);
    expect(model.setting.a).toBe(8);
  });

  test('refuses what is not newer, what is not expected, what is not allowed, and all of a command with it', () => {
    const model = client();
    model.onCommand(command(2, 1, [{ knob: 'a', value: 7 }]), 0);
    model.onCommand(command(1, 9, [{ knob: 'a', value: 8 }]), 1);
    model.onCommand(command(2, 2, [{ knob: 'a', value: 8, expectedCurrent: 3 }]), 2);
    model.onCommand(
      command(2, 3, [
        { knob: 'a', value: 11 },
        { knob: 'b', value: 0.1 },
      ]),
      3,
    );
    expect(model.setting).toEqual({ a: 7, b: 0.5 });
    model.onCommand(
      command(
        2,
        4,
        [
          { knob: 'a', value: 11 },
          { knob: 'b', value: 0.1 },
        ],
        { atomicity: 'per_knob' },
      ),
      4,
    );
    expect(model.setting).toEqual({ a: 7, b: 0.1 });
    const states = model
      .takeMessages()
      .map((message) => (message.kind === 'result' ? message.results.map((r) => r.state) : []));
    expect(states).toEqual([
      ['applied'],
      ['superseded'],
      ['rejected_transient'],
      ['rejected_permanent', 'rejected_transient'],
      ['rejected_permanent', 'applied'],
    ]);
  });

  test('whatever is sent, in whatever order: (epoch, revision) never falls, values stay allowed, leases end', () => {
    const step = fc.record({
      epoch: fc.integer({ min: 1, max: 3 }),
      revision: fc.integer({ min: 1, max: 6 }),
      value: fc.integer({ min: -2, max: 14 }),
      afterMs: fc.integer({ min: 0, max: 80 }),
      kind: fc.constantFrom('command', 'renewal', 'revoke'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const model = client({ ...HONEST, applyMs: [0, 30] });
        let nowMs = 0;
        let highest = 0;
        for (const { epoch, revision, value, afterMs, kind } of steps) {
          nowMs += afterMs;
          model.advance(nowMs);
          if (kind === 'command')
            model.onCommand(
              command(epoch, revision, [{ knob: 'a', value }], { commandId: `${epoch}/${revision}/${value}` }),
              nowMs,
            );
          else if (kind === 'renewal') model.onRenewal(epoch, revision, 100, nowMs);
          else model.onRevoke(epoch, revision, ['a'], nowMs);
          const held = model.manifest.held[0];
          if (held.revision > 0) {
            expect(held.epoch * 100 + held.revision).toBeGreaterThanOrEqual(highest);
            highest = held.epoch * 100 + held.revision;
          }
          expect(Number(model.setting.a)).toBeGreaterThanOrEqual(0);
          expect(Number(model.setting.a)).toBeLessThanOrEqual(10);
        }
        model.advance(nowMs + 30);
        model.advance(nowMs + 131);
        expect(model.setting).toEqual({ a: 3, b: 0.5 });
        expect(model.nextMs).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });

  test('a hand on the knob is said, and keeps the tuner out', () => {
    const model = client();
    model.override('a', 9);
    model.onCommand(command(1, 1, [{ knob: 'a', value: 7 }]), 0);
    expect(model.setting.a).toBe(9);
    expect(model.manifest.held[0]).toMatchObject({ knob: 'a', value: 9, manual: true, revision: 0 });
    expect(model.takeMessages()[0]).toEqual({ kind: 'override', knob: 'a', value: 9 });
  });
});

describe('what carries messages', () => {
  test('a channel loses, doubles and delays as often and as long as it is told to', () => {
    const channel = new Channel({ delayMs: [10, 20], loss: 0.2, duplicate: 0.1, reorder: 0.05 }, new Random(3));
    const fates = Array.from({ length: 20_000 }, () => channel.fate());
    expect(fates.filter((fate) => fate.length === 0).length / 20_000).toBeCloseTo(0.2, 1);
    expect(fates.filter((fate) => fate.length === 2).length / 16_000).toBeCloseTo(0.1, 1);
    const delays = fates.flat();
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...delays)).toBeLessThanOrEqual(channel.maxDelayMs);
    expect(delays.filter((delayMs) => delayMs > 20).length / delays.length).toBeCloseTo(0.05, 1);
    channel.isCut = true;
    expect(channel.fate()).toEqual([]);
    expect(channel.sentTotal).toBe(20_001);
  });

  test('a schedule runs in order of time, and in order of scheduling within one instant', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 }), (instants) => {
        const schedule = new Schedule();
        const ran: [number, number][] = [];
        for (const [i, atMs] of instants.entries()) schedule.at(atMs, (nowMs) => ran.push([nowMs, i]));
        schedule.runUntil(20);
        expect(ran).toEqual(
          [...instants.entries()].map(([i, atMs]) => [atMs, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1]),
        );
      }),
    );
  });
});
