import { describe, expect, test } from 'vitest';
import { definitions, valueAt } from '../../agent/adapters/flags/definitions.ts';
import { FlaggedSession } from '../../agent/adapters/flags/flagged_session.ts';
import type { FlagsPorts } from '../../agent/adapters/flags/ports.ts';
import { Subscribers } from '../../agent/adapters/flags/subscribers.ts';
import type { Command, KnobSpec } from '../../agent/core/model.ts';
import { intSpec, VirtualClock } from '../contract/control-client-rig.ts';

type Input = Parameters<FlagsPorts['inbox']>[0];

const restart: KnobSpec = intSpec('boot', { applyClass: 'restart' });

function rig() {
  const clock = new VirtualClock();
  const inputs: Input[] = [];
  const subscriber = { isTaking: true, published: 0 };
  const ports: FlagsPorts = {
    inbox: (input) => inputs.push(input),
    components: () => [],
    nowMs: () => clock.nowMs(),
    after: (delayMs, run) => clock.after(delayMs, run),
  };
  const knobs = [intSpec('batch'), intSpec('queue'), restart];
  const session = new FlaggedSession(
    { component: 'checkout', tier: 'stable', knobs },
    ports,
    () => subscriber.published++,
    () => subscriber.isTaking,
  );
  session.subscribed(1);
  const results = () => inputs.flatMap((input) => (input.kind === 'result' ? [input] : []));
  const values = () => session.flags.map((flag) => valueAt(flag, clock.nowMs()).value);
  return { clock, inputs, subscriber, session, results, values };
}

function command(revision: number, changes: Command['changes'], fields: Partial<Command> = {}): Command {
  return {
    commandId: `c${revision}`,
    component: 'checkout',
    epoch: 1,
    revision,
    changes,
    atomicity: 'per_knob',
    validateOnly: false,
    leaseTtlMs: 3_000,
    onExpiry: 'baseline',
    applyDeadlineMs: 500,
    rationale: { strategy: 'test', reason: 'test' },
    ...fields,
  };
}

const to = (value: number, knob = 'batch') => ({ knob, value });

describe('a component whose knobs are flags', () => {
  test('has a session while somebody who names it is subscribed', () => {
    const { session, inputs } = rig();
    session.subscribed(2);
    session.subscribed(0);
    expect(inputs).toMatchObject([
      { kind: 'session', event: 'opened', manifest: { component: 'checkout', held: [] } },
      { kind: 'session', event: 'closed', component: 'checkout' },
    ]);
  });

  test('has applied a command when every subscriber was handed it, and not before', () => {
    const { session, subscriber, results, values } = rig();
    subscriber.isTaking = false;
    session.command(command(1, [to(16)]));
    session.command(command(1, [to(16)]));
    expect(results()).toEqual([]);
    subscriber.isTaking = true;
    session.delivered();
    expect(results()).toMatchObject([
      { commandId: 'c1', results: [{ state: 'applied', effectiveValue: 16, effectiveRevision: 1 }] },
    ]);
    expect(values()).toEqual([16, 8, 8]);
  });

  test('has refused for now what a subscriber did not take by the deadline, and is where it was', () => {
    const { session, subscriber, results, values, clock } = rig();
    session.command(command(1, [to(16)]));
    subscriber.isTaking = false;
    session.command(command(2, [to(32)]));
    clock.advance(500);
    expect(results().at(-1)).toMatchObject({
      commandId: 'c2',
      results: [{ state: 'rejected_transient', effectiveValue: 16, effectiveRevision: 1 }],
    });
    expect(values()).toEqual([16, 8, 8]);
  });

  test('is overtaken by a newer command', () => {
    const { session, subscriber, results } = rig();
    subscriber.isTaking = false;
    session.command(command(1, [to(16)]));
    session.command(command(2, [to(32)]));
    subscriber.isTaking = true;
    session.delivered();
    expect(results().map(({ commandId, results: [first] }) => [commandId, first?.state])).toEqual([
      ['c1', 'superseded'],
      ['c2', 'applied'],
    ]);
  });

  test('refuses what no flag can do, and applies the siblings', () => {
    const { session, results, values } = rig();
    session.command(command(1, [to(101), to(20, 'queue'), to(2, 'boot'), to(1, 'ghost')]));
    session.command(command(2, [to(16)], { onExpiry: 'hold' }));
    session.command(command(3, [{ ...to(16), expectedCurrent: 9 }]));
    expect(results().map(({ results: all }) => all.map(({ state }) => state))).toEqual([
      ['rejected_permanent', 'applied', 'rejected_permanent', 'rejected_permanent'],
      ['rejected_permanent'],
      ['rejected_transient'],
    ]);
    expect(values()).toEqual([8, 20, 8]);
  });

  test('all or none, and validate only', () => {
    const { session, results, values } = rig();
    session.command(command(1, [to(16), to(101, 'queue')], { atomicity: 'all' }));
    session.command(command(2, [to(16)], { validateOnly: true }));
    expect(results().map(({ results: all }) => all.map(({ state }) => state))).toEqual([
      ['rolled_back', 'rejected_permanent'],
      ['applied'],
    ]);
    expect(values()).toEqual([8, 8, 8]);
  });

  test('a lease is renewed, runs out in the flag by itself, and is said to have', () => {
    const { session, results, values, clock } = rig();
    session.command(command(1, [to(16)]));
    session.command(command(2, [to(20, 'queue')]));
    clock.advance(2_000);
    session.renew(1, 3_000);
    clock.advance(1_000);
    expect(values()).toEqual([16, 8, 8]);
    expect(results().at(-1)).toMatchObject({ commandId: 'c2', results: [{ knob: 'queue', state: 'expired' }] });
    session.revoke(0, ['batch'], 'older ones only');
    session.revoke(1, ['batch'], 'why');
    expect(results().at(-1)).toMatchObject({ commandId: 'c1', results: [{ state: 'rolled_back', error: 'why' }] });
    expect(values()).toEqual([8, 8, 8]);
  });
});

describe('a flag definition', () => {
  const flag = { component: 'checkout', spec: intSpec('batch') };

  test('has the lease compiled in, the revision as its variant, and the baseline as its default', () => {
    const tuned = { ...flag, tuned: { value: 16, revision: 7, untilMs: 12_900 } };
    expect(JSON.parse(definitions([tuned]))).toEqual({
      flags: {
        'checkout/batch': {
          state: 'ENABLED',
          variants: { baseline: 8, 'rev-7': 16 },
          defaultVariant: 'baseline',
          targeting: { if: [{ '<': [{ var: '$flagd.timestamp' }, 12] }, 'rev-7', 'baseline'] },
          metadata: { flagSetId: 'checkout', knob: 'batch', unit: '1' },
        },
      },
    });
    // Never longer than the lease, whatever a second is rounded to.
    expect([11_999, 12_000].map((nowMs) => valueAt(tuned, nowMs).value)).toEqual([16, 8]);
  });

  test('is its baseline alone when nothing is in force', () => {
    expect(JSON.parse(definitions([flag])).flags['checkout/batch']).toMatchObject({ variants: { baseline: 8 } });
  });
});

test('a subscriber that is slow gets what is true when it is ready, and keeps nothing waiting', () => {
  const written: { readonly news: unknown; readonly done: () => void }[] = [];
  const subscribers = new Subscribers(() => {});
  let version = 1;
  subscribers.add({
    call: {
      write: (news, done) => written.push({ news, done: () => done() }) > 0,
      emit: () => true,
      on: () => {},
    },
    component: 'checkout',
    mayRead: () => true,
    news: () => version,
  });
  for (version = 2; version < 1_000; version++) subscribers.publish();
  expect([written.length, subscribers.isDelivered('checkout')]).toEqual([1, false]);
  written[0]?.done();
  expect(written.map(({ news }) => news)).toEqual([1, 1_000]);
  written[1]?.done();
  expect(subscribers.isDelivered('checkout')).toBe(true);
});
