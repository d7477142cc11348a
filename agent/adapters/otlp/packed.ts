import { MalformedError, type Wire } from './wire.ts';

/** Buckets of one point that are read; a point with more is refused. SDKs send up to 160, and some tools a few thousand. */
export const MAX_BUCKETS = 16_384;

/** Where a packed run of eight-byte values ends. */
export function packedEnd(wire: Wire, end: number): number {
  const at = wire.pos;
  const stop = wire.lengthEnd(end);
  if ((stop - wire.pos) % 8 !== 0) throw new MalformedError('packed fixed64 values are not a multiple of 8 bytes', at);
  return stop;
}

/** An unsigned 64-bit integer: exact up to 2^53, the nearest double above. */
export function readCount(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

/** What the nearest double lacks to the integer: 0 up to 2^53. */
export function restOfCount(view: DataView, at: number, count: number): number {
  return count <= Number.MAX_SAFE_INTEGER ? 0 : Number(view.getBigUint64(at, true) - BigInt(count));
}

/** A sum that overflowed or met a NaN says nothing; the counts still do. */
export function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
