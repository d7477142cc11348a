/** How far commands have come: of which start of the agent, and which of that start's. */
export interface Fence {
  readonly epoch: number;
  readonly revision: number;
}

export function isBelow(a: Fence, b: Fence): boolean {
  return a.epoch === b.epoch ? a.revision < b.revision : a.epoch < b.epoch;
}
