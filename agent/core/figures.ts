/* Numbers in sentences for humans. */

/** Three significant digits. */
export function figure(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Whole percent of a ratio. */
export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}
