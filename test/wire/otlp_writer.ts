/**
 * Writes protobuf by hand, so that tests can say what a generated codec never would: fields in any order, repeated
 * fields apart, unknown fields and groups, numbers with superfluous bytes.
 */
export type Field = readonly [number: number, wireType: 0 | 1 | 2 | 3 | 5, payload: Uint8Array];

export function varint(value: bigint | number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

export function fixed64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

export function double(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

export const text = (value: string): Uint8Array => Buffer.from(value);
export const concat = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** The fields one after the other, as given. */
export function message(fields: readonly Field[]): Uint8Array {
  return concat(
    ...fields.map(([number, wireType, payload]) => {
      const tag = varint((number << 3) | wireType);
      if (wireType === 2) return concat(tag, varint(payload.length), payload);
      if (wireType === 3) return concat(tag, payload, varint((number << 3) | 4));
      return concat(tag, payload);
    }),
  );
}
