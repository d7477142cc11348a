import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readHello } from '../../agent/adapters/control/hello.ts';
import { readResults } from '../../agent/adapters/control/results.ts';
import { decodeIncoming, encodeHello } from '../../agent/client/typescript/codec.ts';
import { APPLY_CLASSES, KNOB_ROLES, type KnobSpec, type KnobValue, TIERS } from '../../agent/core/model.ts';
import {
  ConnectRequestSchema,
  ConnectResponseSchema,
} from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import { KnobValueSchema } from '../../agent/gen/performance_optimizer/control/v1/knob_pb.ts';
import { grpcTarget, isLocal, parseAddress } from '../../agent/rpc/address.ts';
import {
  decodeDurationMs,
  decodeTimeMs,
  decodeValue,
  encodeDurationMs,
  encodeTimeMs,
  encodeValue,
} from '../../agent/rpc/knob_codec.ts';
import { whyNotAllowed, whyNotSound } from '../../agent/rpc/knob_domain.ts';
import { bytesOf, commandMessage, resultMessage } from '../../agent/rpc/prepared.ts';

const text = (maxLength: number) => fc.string({ maxLength, unit: fc.constantFrom('a', 'Z', '0', ' ', 'é', '-') });
const id = fc.stringMatching(/^[a-z][a-z0-9_.-]{0,15}$/);

const base = fc.record(
  {
    id,
    description: text(40),
    unit: text(8),
    role: fc.constantFrom(...KNOB_ROLES),
    applyClass: fc.constantFrom(...APPLY_CLASSES),
    settleMs: fc.integer({ min: 0, max: 86_400_000 }),
    ceilingAtBoot: fc.boolean(),
    bootFlag: fc.constantFrom('--max-model-len', '-b'),
    bootVariable: fc.constantFrom('MAX_MODEL_LEN', '_x9'),
  },
  { requiredKeys: ['id', 'description', 'unit', 'role', 'applyClass', 'settleMs', 'ceilingAtBoot'] },
);
const numbers = fc
  .tuple(
    fc.constantFrom('int' as const, 'double' as const, 'duration' as const),
    fc.uniqueArray(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 3, maxLength: 3 }),
    fc.constantFrom('linear' as const, 'log' as const),
  )
  .map(([type, picked, scale]) => {
    const [min = 0, baseline = 0, max = 0] = picked.sort((a, b) => a - b);
    return { type, min, baseline, max, scale };
  });
const bool = fc.record({ type: fc.constant('bool' as const), baseline: fc.boolean() });
const words = fc
  .uniqueArray(id, { minLength: 2, maxLength: 5 })
  .map((values) => ({ type: 'enum' as const, values, baseline: values[0]! }));
const spec: fc.Arbitrary<KnobSpec> = fc.tuple(base, fc.oneof(numbers, bool, words)).map(([a, b]) => ({ ...a, ...b }));

describe('a manifest', () => {
  test('arrives as it was declared', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(spec, { maxLength: 8, selector: (entry) => entry.id }),
        fc.constantFrom(...TIERS),
        fc.nat(),
        fc.boolean(),
        (knobs, tier, revision, manual) => {
          const identity = {
            component: 'c',
            tier,
            instanceUid: 'u',
            incarnation: 7,
            resource: { 'process.pid': '42' },
          };
          const held = knobs.map(({ id: knob, baseline: value }) => ({ knob, value, epoch: 3, revision, manual }));
          const bytes = toBinary(ConnectRequestSchema, encodeHello(identity, knobs, held, revision));
          const { message } = fromBinary(ConnectRequestSchema, bytes);
          if (message.case !== 'hello') throw new Error(`read ${message.case}`);
          expect(readHello(message.value, 256)).toEqual({
            ok: true,
            manifest: { ...identity, pid: 42, knobs, held, validates: true },
          });
        },
      ),
    );
  });

  test.each(['abc', '-1', '0', '1.5', '99999999999', ''])('a pid of "%s" is left out, and refuses nobody', (pid) => {
    const identity = {
      component: 'c',
      tier: 'stable' as const,
      instanceUid: 'u',
      incarnation: 7,
      resource: { 'process.pid': pid },
    };
    const { message } = encodeHello(identity, [], [], 0);
    if (message.case !== 'hello') throw new Error(`encoded ${message.case}`);
    const read = readHello(message.value, 256);
    if (!read.ok) throw new Error(read.problem);
    expect('pid' in read.manifest).toBe(false);
  });
});

describe('values', () => {
  test('of every type arrive exactly', () => {
    const anyValue = fc.oneof(
      fc.maxSafeInteger().map((value) => ({ type: 'int' as const, value })),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => ({ type: 'double' as const, value })),
      fc.boolean().map((value) => ({ type: 'bool' as const, value })),
      fc.string().map((value) => ({ type: 'enum' as const, value })),
    );
    fc.assert(
      fc.property(anyValue, ({ type, value }) => {
        const bytes = toBinary(KnobValueSchema, encodeValue(value, type));
        expect(decodeValue(fromBinary(KnobValueSchema, bytes))).toBe(value);
      }),
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('%d is no value', (value) => {
    expect(decodeValue(encodeValue(value, 'double'))).toBeUndefined();
  });

  test('an int that is not exact in every language is no value', () => {
    const wire = encodeValue(0, 'int');
    wire.kind = { case: 'intValue', value: 2n ** 53n };
    expect(decodeValue(wire)).toBeUndefined();
  });

  test('durations and times arrive to the nanosecond they can say, within what protobuf allows', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 4e12, noNaN: true }), (ms) => {
        for (const message of [encodeDurationMs(ms), encodeTimeMs(ms)]) {
          expect(message.nanos).toBeGreaterThanOrEqual(0);
          expect(message.nanos).toBeLessThan(1e9);
        }
        expect(
          Math.abs(decodeDurationMs(fromBinary(DurationSchema, toBinary(DurationSchema, encodeDurationMs(ms)))) - ms),
        ).toBeLessThan(1e-3);
        expect(
          Math.abs(decodeTimeMs(fromBinary(TimestampSchema, toBinary(TimestampSchema, encodeTimeMs(ms)))) - ms),
        ).toBeLessThan(1e-3);
      }),
    );
  });
});

describe('domains', () => {
  test('a sound knob allows its baseline, and nothing beyond its ends', () => {
    fc.assert(
      fc.property(spec, (knob) => {
        expect(whyNotSound(knob)).toBeUndefined();
        expect(whyNotAllowed(knob, knob.baseline)).toBeUndefined();
        if (knob.type === 'bool' || knob.type === 'enum') return;
        expect(whyNotAllowed(knob, knob.max)).toBeUndefined();
        expect(whyNotAllowed(knob, knob.max + 1)).toBe(`${knob.max + 1} is outside ${knob.min} to ${knob.max}`);
        expect(whyNotAllowed(knob, Number.NaN)).toBeDefined();
        expect(whyNotAllowed(knob, 'x')).toBe('"x" is not a finite number');
      }),
    );
  });

  test('steps begin at min, and forgive rounding only', () => {
    const tenths: KnobSpec = {
      id: 'a',
      description: '',
      unit: '',
      role: 'other',
      applyClass: 'hot',
      settleMs: 0,
      ceilingAtBoot: false,
      type: 'double',
      min: 0.1,
      max: 1,
      step: 0.1,
      scale: 'linear',
      baseline: 0.1,
    };
    expect(whyNotAllowed(tenths, 0.1 + 0.1 + 0.1)).toBeUndefined();
    expect(whyNotAllowed(tenths, 0.35)).toBe('0.35 is not 0.1 plus a multiple of 0.1');
    expect(whyNotSound({ ...tenths, step: 0 })).toMatchObject({ field: 'step' });
    expect(whyNotSound({ ...tenths, step: Number.NaN })).toMatchObject({ field: 'step' });
    expect(whyNotSound({ ...tenths, type: 'duration', min: -1 })).toMatchObject({ field: 'min' });
    expect(whyNotSound({ ...tenths, type: 'int' })).toMatchObject({ field: 'min' });
    for (const bootFlag of ['batch', '--', '--x y', '--x;rm', '']) {
      expect(whyNotSound({ ...tenths, bootFlag })).toMatchObject({ field: 'boot_flag' });
    }
    expect(whyNotSound({ ...tenths, bootVariable: 'A=1' })).toMatchObject({ field: 'boot_variable' });
  });
});

describe('addresses', () => {
  test.each([
    ['unix:/run/x.sock', 'unix:/run/x.sock', true],
    ['unix:///run/x.sock', 'unix:/run/x.sock', true],
    ['127.0.0.1:4319', '127.0.0.1:4319', true],
    ['127.9.9.9:1', '127.9.9.9:1', true],
    ['localhost:1', 'localhost:1', true],
    ['[::1]:1', '[::1]:1', true],
    ['[::]:1', '[::]:1', false],
    ['0.0.0.0:1', '0.0.0.0:1', false],
    ['127.0.0.1.example.com:1', '127.0.0.1.example.com:1', false],
    ['localhost.example.com:1', 'localhost.example.com:1', false],
  ])('%s', (given, target, local) => {
    const address = parseAddress(given);
    expect([grpcTarget(address), isLocal(address)]).toEqual([target, local]);
  });

  test.each(['', 'unix:relative', '127.0.0.1', ':4319', 'host:99999', '::1:4319', 'a/b:1', 'http://x:1'])(
    '"%s" is none',
    (given) => {
      expect(() => parseAddress(given)).toThrow(RangeError);
    },
  );
});

describe('what is written by hand reads as the generated code has it', () => {
  const revision = fc.nat(Number.MAX_SAFE_INTEGER);
  const value: fc.Arbitrary<readonly [KnobSpec['type'], KnobValue]> = fc.oneof(
    fc.tuple(fc.constant('int' as const), fc.maxSafeInteger()),
    fc.tuple(
      fc.constantFrom('double' as const, 'duration' as const),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    ),
    fc.tuple(fc.constant('bool' as const), fc.boolean()),
    fc.tuple(fc.constant('enum' as const), fc.constantFrom('', 'é', 'on')),
  );
  const changes = fc
    .uniqueArray(fc.tuple(id, value, fc.boolean()), { minLength: 1, maxLength: 5, selector: ([knob]) => knob })
    .map((entries) => ({
      types: new Map(entries.map(([knob, [type]]) => [knob, type])),
      changes: entries.map(([knob, [, to], isSure]) => ({ knob, value: to, ...(isSure && { expectedCurrent: to }) })),
    }));
  const rationale = fc.record(
    {
      strategy: text(20),
      reason: text(200),
      trialId: id,
      expectedEffect: fc.double({ min: -1, max: 1 }),
      confidence: fc.double({ min: 0, max: 1 }),
    },
    { requiredKeys: ['strategy', 'reason'] },
  );

  test('a command', () => {
    const rest = fc.record({
      commandId: id,
      epoch: revision,
      revision,
      atomicity: fc.constantFrom('all' as const, 'per_knob' as const),
      validateOnly: fc.boolean(),
      leaseTtlMs: fc.nat(86_400_000),
      onExpiry: fc.constantFrom('hold' as const, 'baseline' as const, 'last_good' as const),
      applyDeadlineMs: fc.nat(600_000),
      rationale,
    });
    fc.assert(
      fc.property(changes, rest, text(9), ({ types, ...changed }, head, nonce) => {
        const command = { ...head, ...changed };
        const bytes = bytesOf(
          ConnectResponseSchema,
          commandMessage(command, nonce, (knob) => types.get(knob)),
        );
        const message = fromBinary(ConnectResponseSchema, bytes);
        expect(decodeIncoming(message)).toEqual({ kind: 'command', nonce, command });
        // The generated code writes the same bytes: nothing is sent that has its default, nor in another order.
        expect(Buffer.from(toBinary(ConnectResponseSchema, message)).equals(bytes)).toBe(true);
      }),
    );
  });

  test('a result', () => {
    const outcome = fc.record(
      {
        state: fc.constantFrom(
          'applying' as const,
          'applied' as const,
          'rejected_permanent' as const,
          'rolled_back' as const,
        ),
        attemptedRevision: revision,
        effectiveRevision: revision,
        error: fc.constantFrom('why'),
      },
      { requiredKeys: ['state', 'attemptedRevision', 'effectiveRevision'] },
    );
    fc.assert(
      fc.property(
        fc.uniqueArray(spec, { minLength: 1, maxLength: 5, selector: (entry) => entry.id }),
        outcome,
        id,
        (knobs, said, nonce) => {
          const specs = new Map(knobs.map((entry) => [entry.id, entry]));
          const results = knobs.map(({ id: knob, baseline }) => ({ knob, effectiveValue: baseline, ...said }));
          const bytes = bytesOf(
            ConnectRequestSchema,
            resultMessage('c/1/2', nonce, results, (knob) => specs.get(knob)?.type),
          );
          const message = fromBinary(ConnectRequestSchema, bytes);
          if (message.message.case !== 'result') throw new Error(`read ${message.message.case}`);
          expect(message.message.value).toMatchObject({ commandId: 'c/1/2', nonce });
          expect(readResults(message.message.value.knobResults, specs)).toEqual({ ok: true, value: results });
          expect(Buffer.from(toBinary(ConnectRequestSchema, message)).equals(bytes)).toBe(true);
        },
      ),
    );
  });
});
