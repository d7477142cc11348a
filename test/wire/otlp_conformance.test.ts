import { expect, it } from 'vitest';
import { conformance } from '../bench/conformance/run.ts';
import { startReceiver } from './otlp_rig.ts';

it('the receiver is what OTLP says, as far as a client can see', async () => {
  const maxBytes = 1024 * 1024;
  await using rig = await startReceiver({ maxMessageBytes: maxBytes, maxInFlightBytes: 2 * maxBytes });
  const rows = await conformance({
    grpc: rig.address,
    http: rig.httpAddress,
    maxBytes,
    overloadBytes: 4 * maxBytes,
    stop: () => rig.receiver.stop(new AbortController().signal),
  });
  expect(rows.filter(({ result }) => result !== 'pass')).toEqual([]);
  expect(rows.map(({ id }) => id)).toEqual([
    ...Array.from({ length: 10 }, (_, i) => `M${i + 1}`),
    ...Array.from({ length: 14 }, (_, i) => `R${i + 1}`),
  ]);
  expect(rig.defects).toEqual([]);
});

it('a row fails where a receiver does not do as the rule says', async () => {
  // A limit that is far from what the checks are told.
  await using rig = await startReceiver({ maxMessageBytes: 64 * 1024 * 1024, maxInFlightBytes: 65 * 1024 * 1024 });
  const rows = await conformance({ grpc: rig.address, http: undefined, maxBytes: 1024, overloadBytes: 1024 });
  const resultOf = (row: string) => rows.find(({ id }) => id === row)?.result;
  expect([resultOf('R4'), resultOf('R3'), resultOf('R8'), resultOf('R12'), resultOf('R1')]).toEqual([
    ...['fail', 'unseen', 'pass', 'unseen', 'pass'],
  ]);
});
