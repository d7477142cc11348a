const ZERO = 0x30;
const MINUS = 0x2d;
const TWO_32 = 0x1_0000_0000;

/**
 * A 64-bit integer from its decimal digits, as two halves, without a double in between that would round it and without
 * a bigint, which costs several times as much.
 *
 * `digits = a · 10^9 + b`; `a` has at most 11 digits, so it is split once more, `a = h · 2^20 + l`, and every product
 * below stays under 2^53.
 */
export class Integer64 {
  low = 0;
  high = 0;

  /** Whether the characters from `start` to `end` are an integer within `min` to `max` of its type. */
  read(bytes: Uint8Array, start: number, end: number, isSigned: boolean): boolean {
    const isNegative = bytes[start] === MINUS;
    let at = isNegative ? start + 1 : start;
    while (at < end - 1 && bytes[at] === ZERO) at += 1;
    const length = end - at;
    if (length > 20) return false;
    const upper = digits(bytes, at, Math.max(at, end - 9));
    const lower = digits(bytes, Math.max(at, end - 9), end);
    const shifted = Math.floor(upper / 0x10_0000) * 1e9;
    const rest = (upper % 0x10_0000) * 1e9 + lower;
    const low = (shifted % 0x1000) * 0x10_0000 + (rest % TWO_32);
    const high = Math.floor(shifted / 0x1000) + Math.floor(rest / TWO_32) + Math.floor(low / TWO_32);
    this.low = low % TWO_32;
    this.high = high;
    if (isNegative) {
      if (!isSigned && (this.low !== 0 || high !== 0)) return false;
      if (high > 0x8000_0000 || (high === 0x8000_0000 && this.low !== 0)) return false;
      // Two's complement.
      this.low = (TWO_32 - this.low) % TWO_32;
      this.high = (TWO_32 - high - (this.low === 0 ? 0 : 1)) % TWO_32;
      return true;
    }
    return high < (isSigned ? 0x8000_0000 : TWO_32);
  }
}

function digits(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + bytes[at]! - ZERO;
  return value;
}
