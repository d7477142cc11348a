import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newCounters } from '../../agent/adapters/otlp/counters.ts';
import { type Arriving, InFlight } from '../../agent/adapters/otlp/in_flight.ts';
import { MemoryGate } from '../../agent/adapters/otlp/memory_gate.ts';

const MIB = 1024 * 1024;

function gate() {
  const state = { residentBytes: 0, nowMs: 0, reads: 0 };
  const made = new MemoryGate({
    maxResidentBytes: 100,
    residentBytes: () => {
      state.reads += 1;
      return state.residentBytes;
    },
    monotonicMs: () => state.nowMs,
  });
  return { state, admits: (bytes: number) => made.admits(bytes) };
}

describe('the gate of memory', () => {
  it('lets everything in below the ceiling, and looks seldom', () => {
    const { state, admits } = gate();
    state.residentBytes = 100;
    for (let i = 0; i < 1_000; i++) expect(admits(1_000)).toBe(true);
    expect(state.reads).toBe(1);
    state.nowMs = 20;
    admits(1_000);
    expect(state.reads).toBe(2);
    expect(admits(5 * MIB)).toBe(true);
    expect(state.reads).toBe(3);
  });

  it('above it lets in one small request a second, and none that is large or of unknown size', () => {
    const { state, admits } = gate();
    state.residentBytes = 101;
    const seen: boolean[] = [];
    for (const nowMs of [0, 1, 999, 1_000, 1_500, 2_000]) {
      state.nowMs = nowMs;
      expect(admits(MIB)).toBe(false);
      expect(admits(Number.POSITIVE_INFINITY)).toBe(false);
      seen.push(admits(1_000));
    }
    expect(seen).toEqual([true, false, false, true, false, true]);
    state.residentBytes = 100;
    state.nowMs = 2_020;
    expect(admits(MIB)).toBe(true);
  });
});

describe('bytes in flight', () => {
  it('stay under their limit and are all given back, whatever arrives and ends', () => {
    const step = fc.oneof(
      fc.tuple(fc.constant('hold' as const), fc.nat(9), fc.nat(400)),
      fc.tuple(fc.constant('release' as const), fc.nat(9), fc.constant(0)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const counters = newCounters();
        const inFlight = new InFlight(1_000, counters);
        let refused = 0;
        const open = Array.from({ length: 10 }, (): Arriving => {
          const request: Arriving = { heldBytes: 0, isReleased: false, refuse: () => void refused++ };
          inFlight.add(request);
          return request;
        });
        for (const [kind, which, bytes] of steps) {
          const request = open[which]!;
          const largest = Math.max(...open.map(({ heldBytes }) => heldBytes), request.heldBytes + bytes);
          const before = refused;
          if (kind === 'hold' && !request.isReleased) {
            inFlight.hold(request, bytes);
            // Only who holds most is refused.
            if (refused > before) expect(open.every(({ heldBytes }) => heldBytes <= largest)).toBe(true);
          } else inFlight.release(request);
          expect(counters.inFlightBytes).toBe(open.reduce((sum, { heldBytes }) => sum + heldBytes, 0));
          expect(counters.inFlightBytes).toBeLessThanOrEqual(1_000);
        }
        expect(counters.refused.inFlight).toBe(refused);
        for (const request of open) inFlight.release(request);
        expect(counters.inFlightBytes).toBe(0);
      }),
    );
  });
});
