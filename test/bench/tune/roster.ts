import { positionsOf } from '../../sim/knob_space.ts';
import type { Oracle } from '../../sim/plant/oracle.ts';
import { knobSpecs, type Scenario } from '../../sim/scenario.ts';
import type { Method, MethodContext } from './method.ts';
import { bluefin } from './methods/bluefin.ts';
import { cmaEs } from './methods/cma_es.ts';
import { aimd, gradient2, limiter, vegas } from './methods/concurrency.ts';
import { constant } from './methods/constant.ts';
import { randomSearch } from './methods/random_search.ts';
import { safeOpt } from './methods/safe_opt.ts';
import { spsa } from './methods/spsa.ts';
import { turbo } from './methods/turbo.ts';

/** A peer on a scenario; undefined where it has nothing to move. */
export type Peer = (context: MethodContext) => Method | undefined;

/** Everyone in the race besides ours, by the name that is printed. */
export function peersOn(scenario: Scenario, oracle: Oracle): ReadonlyMap<string, Peer> {
  return new Map<string, Peer>([
    ['default', constant()],
    ['best constant', constant(positionsOf(knobSpecs(scenario), oracle.overall))],
    ['random', randomSearch],
    ['spsa', spsa()],
    ['bluefin', bluefin()],
    ['cma-es', cmaEs()],
    ['safeopt', safeOpt],
    ['turbo', turbo],
    ['aimd', (context) => limiter(aimd, context)],
    ['vegas', (context) => limiter(vegas, context)],
    ['gradient2', (context) => limiter(gradient2, context)],
  ]);
}
