import type { Setting } from '../../model.ts';
import { unseen } from '../looked.ts';
import type { Strategy } from '../strategy.ts';
import { deprived, NAME as LOCAL_SEARCH, PROBED, probedAxes } from './configuration.ts';

/**
 * Jumps: when a search around the best setting known has found nothing, one walk to where was not looked yet (`looked.ts`), as long as
 * the way is bearable (`jump.ts`).
 *
 * What is bearable is counted from the baselines, not from the incumbent: 25 % worse than those, so what was won on the way here
 * is the room there is, but no hill of more than .5 is climbed, since what may lie behind it is rarely worth that. The room is counted from
 * proofs alone, and nobody is taken for a walk who has not won anything yet. Nothing is begun where a window's noise is more than
 * a third of the bound: several windows would be beyond it before that can be told (p4-noisy: .60 % of all windows far worse than the
 * default instead of .35 %).
 *
 * A walk takes about six windows and costs about one log unit × windows. It comes after a search in vain, so never while something nearer
 * pays; after one in vain the next waits for 400 windows, then for 640 (`dossier.ts`), which makes it 1 to 2 % of all windows, and leads
 * elsewhere. With pauses of 80 windows p6-two-optima has no less regret, and scenarios with one optimum lose .02 to .03 instead of .01.
 *
 * Only knobs in mode `auto`, and not in the tiers `critical` and `stable`: whoever wants to be asked is left alone.
 * Units: log objective. Source: the jumps on stagnation of trust-region methods (Eriksson et al. 2019, arXiv 1910.01739), which restart elsewhere.
 */
const NAME = 'Jump';
const LEAST_RADIUS = 0.3;
const BEARABLE = Math.log(1.25);
const HIGHEST_HILL = 0.5;
const NOISE_PER_ROOM = 0.35;

export const jumpStrategy: Strategy = {
  name: NAME,
  description: 'Looks beyond what a search near the best setting known can see',
  applicableTiers: ['advanced', 'experimental', 'research'],
  roles: PROBED,
  priority: 3,
  canApply: ({ grounds }) => grounds().isInVain(LOCAL_SEARCH),
  plan(context, modes) {
    if (!modes.includes('auto') || !this.canApply(context)) return undefined;
    const { incumbent } = context;
    const { won, noise, looked, isBanned } = context.grounds();
    const room = Math.min(won + BEARABLE, HIGHEST_HILL);
    if (won <= 0 || noise > NOISE_PER_ROOM * room) return undefined;
    const axes = probedAxes(context, ['auto']);
    const isOpen = (setting: Setting) => {
      const isRefused = Object.entries(setting).some(([id, value]) => context.rejection(id, value) !== undefined);
      const to = { ...incumbent, ...setting };
      return !isRefused && deprived(axes, to, incumbent) === undefined && !isBanned(to, room);
    };
    const found = unseen(axes, [incumbent, ...looked], LEAST_RADIUS, isOpen);
    if (found === undefined) return undefined;
    const names = Object.keys(found.setting).join(' and ');
    const bound = (100 * Math.expm1(room)).toFixed(0);
    const reason = `a search nearby was in vain: walking to where ${names} were not looked at, unless the way gets ${bound} % worse`;
    return { kind: 'jump', axes, to: found.setting, room, reason, signals: { room, emptyRadius: found.radius } };
  },
};
