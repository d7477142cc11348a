import { expect, it } from 'vitest';
import { ownersOf } from '../../agent/adapters/gpu/owners.ts';
import type { ComponentProcess } from '../../agent/core/model.ts';
import { GpuMachine, status } from './fixtures_gpu/rig.ts';

/** `/proc` of a machine: pid → parent, the pids in inner namespaces, and whether it is a thread of the kernel. */
function owners(
  processes: Readonly<Record<number, { parent: number; inside?: readonly number[]; kernel?: true }>>,
  gpuPids: readonly number[],
  targets: readonly ComponentProcess[],
): Record<number, string> {
  using machine = new GpuMachine();
  for (const [pid, { parent, inside = [], kernel }] of Object.entries(processes)) {
    machine.write(`proc/${pid}/status`, status(parent, [Number(pid), ...inside], kernel !== true));
  }
  return Object.fromEntries(ownersOf(machine.root, gpuPids, targets));
}
const target = (pid: number, component = 'chat') => ({ component, pid });

it('a process that is a target owns itself, also where /proc does not show it', () => {
  expect(owners({ 500: { parent: 1 } }, [500, 600], [target(500), target(600, 'embedder')])).toEqual({
    500: 'chat',
    600: 'embedder',
  });
});

it('workers belong to the nearest target above them', () => {
  const tree = { 1: { parent: 0 }, 500: { parent: 1 }, 510: { parent: 500 }, 520: { parent: 510 }, 900: { parent: 1 } };
  expect(owners(tree, [520, 900], [target(500)])).toEqual({ 520: 'chat' });
  expect(owners(tree, [520], [target(500), target(510, 'engine')])).toEqual({ 520: 'engine' });
});

it("the machine's first process owns only what it does itself", () => {
  const tree = { 1: { parent: 0 }, 500: { parent: 1 } };
  expect(owners(tree, [500], [target(1)])).toEqual({});
  expect(owners(tree, [1], [target(1)])).toEqual({ 1: 'chat' });
});

it('a pid inside a container is found by NSpid, with the workers in there', () => {
  const tree = {
    1: { parent: 0 },
    7: { parent: 2, kernel: true as const },
    4000: { parent: 1 },
    4001: { parent: 4_000, inside: [1] },
    4050: { parent: 4_001, inside: [57] },
    5000: { parent: 1, inside: [7] },
  };
  expect(owners(tree, [4_050], [target(1)])).toEqual({ 4050: 'chat' });
  // 7 is also a thread of the kernel, which computes nothing on GPUs.
  expect(owners(tree, [5_000, 4_050], [target(7), target(57, 'embedder')])).toEqual({
    5000: 'chat',
    4050: 'embedder',
  });
});

it('the same pid in two containers is nobody, and one that a process outside has is not looked for inside', () => {
  const two = { 4001: { parent: 1, inside: [1] }, 5001: { parent: 1, inside: [1] } };
  expect(owners(two, [4_001, 5_001], [target(1)])).toEqual({});
  const outside = { 345: { parent: 1 }, 4001: { parent: 1, inside: [345] } };
  expect(owners(outside, [4_001], [target(345)])).toEqual({});
});

it('two processes of one container are one claim', () => {
  const tree = {
    4001: { parent: 1, inside: [1] },
    4010: { parent: 4_001, inside: [10] },
    4011: { parent: 4_001, inside: [11] },
  };
  expect(owners(tree, [4_010, 4_011, 4_010], [target(1)])).toEqual({ 4010: 'chat', 4011: 'chat' });
});

it('ends where the tree does not', () => {
  expect(owners({ 500: { parent: 501 }, 501: { parent: 500 } }, [500], [target(9)])).toEqual({});
  expect(owners({}, [0, 500], [target(9)])).toEqual({});
});
