import type { Decision, KnobSpec, KnobValue } from '../model.ts';
import type { SharedResource } from '../resources/usage.ts';
import type { Step } from './recommendation.ts';

/*
 * The exact change to make, in every form in which it can be made. What is pasted into a shell or a manifest comes from names
 * that were checked when they were declared, and values are quoted.
 */

type Change = Decision['changes'][number];

/**
 * How to bring a knob to a value. What can be changed while the process runs is, by this agent; what needs a restart is set where
 * the process reads it at its start, and only a human does that.
 */
export function knobSteps(component: string, { knob, from, to }: Change, spec: KnobSpec | undefined): readonly Step[] {
  const unit = spec === undefined || spec.unit === '' || spec.unit === '1' ? '' : ` ${spec.unit}`;
  const isRestart = spec?.applyClass === 'restart';
  const when = isRestart ? ' (at the next start)' : '';
  const value: Step = { kind: 'knob', text: `${knob}: ${show(from)} → ${show(to)}${unit}${when}` };
  if (!isRestart) {
    return [value, { kind: 'command', text: `perfopt pin ${quoted(component)} ${quoted(knob)} ${quoted(show(to))}` }];
  }
  const { bootFlag, bootVariable } = spec;
  return [
    value,
    ...(bootFlag === undefined
      ? []
      : ([
          { kind: 'flag', text: `${bootFlag} ${quoted(show(to))}` },
          { kind: 'manifest', text: `args: [${JSON.stringify(bootFlag)}, ${JSON.stringify(show(to))}]` },
        ] as const)),
    ...(bootVariable === undefined
      ? []
      : ([
          { kind: 'environment', text: `${bootVariable}=${quoted(show(to))}` },
          { kind: 'manifest', text: `env:\n  - name: ${bootVariable}\n    value: ${JSON.stringify(show(to))}` },
        ] as const)),
  ];
}

/** Approving a proposal lets the agent try it; the trial decides. */
export function approvalSteps(proposalId: string): readonly Step[] {
  return [{ kind: 'command', text: `perfopt approve ${quoted(proposalId)}` }];
}

/** A container's limit raised: cores, or mebibytes. */
export function limitSteps(resource: Exclude<SharedResource, 'gpu'>, amount: number): readonly Step[] {
  if (resource === 'cpu') {
    const cores = roundedUp(amount, 0.1).toFixed(1);
    return [
      { kind: 'manifest', text: `resources:\n  limits:\n    cpu: "${cores}"` },
      { kind: 'flag', text: `docker update --cpus ${cores} CONTAINER` },
      { kind: 'flag', text: `systemctl set-property UNIT CPUQuota=${Math.round(Number(cores) * 100)}%` },
    ];
  }
  const mebibytes = roundedUp(amount, 16);
  return [
    { kind: 'manifest', text: `resources:\n  limits:\n    memory: "${mebibytes}Mi"` },
    { kind: 'flag', text: `docker update --memory ${mebibytes}m --memory-swap ${mebibytes}m CONTAINER` },
    { kind: 'flag', text: `systemctl set-property UNIT MemoryMax=${mebibytes}M` },
  ];
}

/** More instances of a component. */
export function replicaSteps(replicas: number): readonly Step[] {
  return [
    { kind: 'manifest', text: `spec:\n  replicas: ${replicas}` },
    { kind: 'flag', text: `kubectl scale deployment/NAME --replicas ${replicas}` },
  ];
}

export function modeSteps(component: string, mode: 'recommend' | 'approve'): readonly Step[] {
  return [{ kind: 'command', text: `perfopt mode ${quoted(component)} ${mode}` }];
}

function show(value: KnobValue): string {
  return typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value);
}

/** As a shell takes it, whatever is in it. */
function quoted(text: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function roundedUp(amount: number, step: number): number {
  return Math.ceil(amount / step - 1e-9) * step;
}
