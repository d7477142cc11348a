import { z } from 'zod';
import { bytes, duration, flag, integer, number, text } from './kinds.ts';
import type { Config } from './schema.ts';

/** Sections about who gets how much of the machine. */

const HOUR = 3_600_000;
const MOST_BYTES = 1024 * 1024 ** 3;

const cores = (description: string) => number(description, { min: 0, max: 4_096 });
const memory = (description: string) => bytes(description, { min: 0, max: MOST_BYTES });
const gpuPercent = (description: string) => number(description, { min: 0, max: 100 });

export const resources = z
  .strictObject({
    headroom: number("On top of a component's peak, as a share of it, where there is no forecast of its use.", {
      min: 0,
      max: 10,
    }).default(0.2),
    horizon: duration('How far ahead the forecast of a component’s use counts towards what it asks for.', {
      min: 60_000,
      max: 24 * HOUR,
    }).prefault('1h'),
    pressure: number('Share of time waited for CPU, memory or I/O from which on it counts as short.', {
      min: 0.001,
      max: 1,
    }).default(0.1),
    limits: z
      .strictObject({
        cpu: cores('Cores.').nullable().default(null),
        memory: memory('Memory.').nullable().default(null),
        gpu: gpuPercent('Percent of the GPUs.').nullable().default(null),
      })
      .meta({
        description:
          'What may be given to all components together; null: thresholds.resourceUsage of what the machine has, less what others use.',
      })
      .prefault({}),
    cgroup: z
      .strictObject({
        enabled: flag(
          'Apply the allocation to the cgroups (version 2) of components that name one. What stood there before is put back at exit, and after a crash at the next start.',
        ).default(false),
        root: text(
          'The subtree that was delegated to the agent. It touches nothing outside, nor the subtree’s own top.',
          'an absolute path below a cgroup2 mount, or null',
          /^\/[^\p{Cc}]{1,4095}$/u,
        )
          .nullable()
          .default(null),
        interval: duration('Time between two applications.', { min: 1_000, max: HOUR }).prefault('30s'),
        cpuWeight: flag(
          'Write cpu.weight: who goes first when the CPU is short. Takes nothing from anybody else.',
        ).default(true),
        cpuMax: flag('Write cpu.max as well: nobody gets more CPU than granted, even where it is free.').default(false),
        memoryHigh: flag('Write memory.high as well: beyond it the kernel takes memory back and slows down.').default(
          false,
        ),
        memoryMargin: number('memory.high is never put below what is used and this share of it.', {
          min: 0.05,
          max: 10,
        }).default(0.2),
      })
      .meta({ description: 'Whether, and how, the allocation is applied. Off: it is only shown.' })
      .prefault({}),
  })
  .meta({ description: 'Who gets how much of the machine: `perfopt allocation`.' })
  .prefault({});

/** Of one component, under `components`. */
export const componentResources = z
  .strictObject({
    priority: integer('Weighs its claim within its tier; 50 where nothing says otherwise.', {
      min: 0,
      max: 100,
    }).exactOptional(),
    cpu: z
      .strictObject({
        min: cores('Never fewer cores.').exactOptional(),
        max: cores('Never more cores.').exactOptional(),
      })
      .exactOptional(),
    memory: z
      .strictObject({
        min: memory('Never less memory.').exactOptional(),
        max: memory('Never more memory.').exactOptional(),
      })
      .exactOptional(),
    gpu: z
      .strictObject({
        min: gpuPercent('Never less, in percent of the GPUs.').exactOptional(),
        max: gpuPercent('Never more, in percent of the GPUs.').exactOptional(),
      })
      .exactOptional(),
    cgroup: text(
      'Its cgroup, below resources.cgroup.root.',
      'a relative path without "." or ".."',
      /^(?!\.{1,2}(?:\/|$))[^\p{Cc}/]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[^\p{Cc}/]{1,255}){0,15}$/u,
    ).exactOptional(),
  })
  .exactOptional();

type Must = (holds: boolean, path: string, message: string) => void;

export function resourceRules({ resources: { cgroup }, components }: Config, must: Must): void {
  must(
    !cgroup.enabled || cgroup.root !== null,
    'resources.cgroup.root',
    'is missing: say which subtree was delegated to the agent, such as /sys/fs/cgroup/perfopt.slice',
  );
  const owners = new Map<string, string>();
  for (const [component, policy] of Object.entries(components)) {
    const { cpu, memory, gpu, cgroup: path } = policy.resources ?? {};
    for (const [resource, bounds] of Object.entries({ cpu, memory, gpu })) {
      must(
        (bounds?.min ?? 0) <= (bounds?.max ?? Number.POSITIVE_INFINITY),
        `components.${component}.resources.${resource}.min`,
        'must not be above max',
      );
    }
    if (path === undefined) continue;
    const owner = owners.get(path);
    must(
      owner === undefined,
      `components.${component}.resources.cgroup`,
      `is that of ${owner} already; two components cannot share one`,
    );
    owners.set(path, component);
  }
}
