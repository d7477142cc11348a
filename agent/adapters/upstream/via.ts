/**
 * Requests carry the ids of the agents that they went through, newest last, as HTTP's `Via` does. An agent that finds its
 * own id does not send the request on: somebody has pointed the end of the chain at its beginning, and without this each
 * request would go round for ever. Ids are made anew at each start, so that a loop survives a restart by one round only.
 */
export const VIA_HEADER = 'perfopt-via';

/** A chain of agents longer than this is a loop through agents that keep restarting, or nothing that anyone wants. */
const MAX_HOPS = 8;
/** What a header of `MAX_HOPS` ids comes to, with room; what is longer did not come from agents. */
const MAX_LENGTH = 512;

export function isLoop(via: string, ownId: string): boolean {
  const hops = via === '' ? [] : via.split(',').map((id) => id.trim());
  return via.length > MAX_LENGTH || hops.length >= MAX_HOPS || hops.includes(ownId);
}

export function withHop(via: string, ownId: string): string {
  // Only what a header may hold: the value came from a sender.
  const before = via.replaceAll(/[^\w,.-]/g, '');
  return before === '' ? ownId : `${before},${ownId}`;
}
