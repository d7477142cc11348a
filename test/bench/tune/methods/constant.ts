import type { MethodFactory } from '../method.ts';

/** Stays where it is put: the default, or the best constant that hindsight finds. */
export function constant(positions?: readonly number[]): MethodFactory {
  return ({ start }) => ({
    ask: () => positions ?? start,
    tell: () => {},
    incumbent: () => positions ?? start,
  });
}
