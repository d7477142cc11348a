/**
 * DCGM says "not available" with a number: the blank of the field's type, plus up to 15 for the reason. The DCGM exporter
 * passes some on, and a GPU with 9.2e18 MiB in use is worse than none.
 */
const INT64_BLANK = 2 ** 63;
const DOUBLE_BLANK = 2 ** 47;
const INT32_BLANK = 0x7ffffff0;
const REASONS = 16;

/** `isCounter`: one that counts upwards may stand at any whole number for a moment. */
export function isBlank(metric: string, value: number, isCounter: boolean): boolean {
  if (!metric.startsWith('DCGM_')) return false;
  // As a double the blank of 64 bits and all its reasons are 2^63.
  if (value >= INT64_BLANK) return true;
  return within(value, DOUBLE_BLANK) || (!isCounter && within(value, INT32_BLANK));
}

function within(value: number, blank: number): boolean {
  return value >= blank && value < blank + REASONS;
}
