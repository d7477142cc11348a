import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ComponentProcess } from '../../core/model.ts';

interface Status {
  readonly parent: number;
  /** Its pids from the namespace of this /proc inwards, the first being the one it was looked up by. */
  readonly pids: readonly number[];
  readonly isUserProcess: boolean;
}

/** Servers start workers, and these start more; nobody nests deeper. */
const MAX_ANCESTORS = 16;

/**
 * Whose component a process on a GPU belongs to: the nearest of the process and its ancestors that is a target, because a
 * server's GPU work is often done by workers that it started.
 *
 * The driver says the pid of the machine (or of the agent's namespace), while a process in a container says the one it
 * has in there. `NSpid` in `/proc/PID/status` lists both, where the agent sees a `/proc` of an outer namespace. A pid
 * inside a container says little by itself (every container has a 1), so it counts only when a single process on the
 * GPUs has it, and when no process outside has it instead. In doubt a process belongs to nobody.
 *
 * Fails where neither holds: a sidecar with a /proc of its own next to a container with another, below a driver that
 * translates no pids. Then the component is given the whole machine's figures.
 */
export function ownersOf(
  root: string,
  gpuPids: readonly number[],
  targets: readonly ComponentProcess[],
): ReadonlyMap<number, string> {
  if (targets.length === 0) return new Map();
  const known = new Map<number, Status | undefined>();
  const statusOf = (pid: number): Status | undefined => {
    if (!known.has(pid)) known.set(pid, readStatus(root, pid));
    return known.get(pid);
  };
  const byPid = new Map(targets.map((target) => [target.pid, target.component]));
  const owners = new Map<number, string>();
  /** Target's pid → the processes that have it in a namespace of their own, each with the GPU processes below it. */
  const inside = new Map<number, Map<number, number[]>>();

  for (const gpuPid of new Set(gpuPids)) {
    let pid = gpuPid;
    for (let i = 0; i < MAX_ANCESTORS && pid > 0; i++) {
      // The first process is everybody's ancestor: it owns what it does itself.
      const direct = pid === 1 && gpuPid !== 1 ? undefined : byPid.get(pid);
      if (direct !== undefined) {
        owners.set(gpuPid, direct);
        break;
      }
      const status = statusOf(pid);
      if (status === undefined) break;
      const within = status.pids.slice(1).find((each) => byPid.has(each));
      if (within !== undefined && (within === 1 || statusOf(within)?.isUserProcess !== true)) {
        const processes = inside.get(within) ?? new Map<number, number[]>();
        processes.set(pid, [...(processes.get(pid) ?? []), gpuPid]);
        inside.set(within, processes);
        break;
      }
      pid = status.parent;
    }
  }
  for (const [pid, processes] of inside) {
    const component = byPid.get(pid);
    const [only, ...others] = processes.values();
    if (component === undefined || only === undefined || others.length > 0) continue;
    for (const gpuPid of only) owners.set(gpuPid, component);
  }
  return owners;
}

function readStatus(root: string, pid: number): Status | undefined {
  let text: string;
  try {
    text = readFileSync(join(root, `proc/${pid}/status`), 'latin1');
  } catch {
    // It has ended, or it is not in this /proc: nothing is known of it but its pid.
    return undefined;
  }
  const parent = Number(/^PPid:\s*(\d+)/m.exec(text)?.[1] ?? 0);
  const pids = (/^NSpid:\s*([\d\s]+?)$/m.exec(text)?.[1] ?? `${pid}`).split(/\s+/).map(Number);
  // The kernel's own threads have no memory of their own, and often the small pids that containers have too.
  return { parent, pids, isUserProcess: /^VmSize:/m.test(text) };
}
