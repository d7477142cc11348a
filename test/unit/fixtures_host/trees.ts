/**
 * Small machines, as files under a root folder: path → content. Texts are in the form of real kernels (5.10 for v1 and
 * hybrid, 6.8 for v2), shortened to the lines that are read and some that are not.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export type Tree = Readonly<Record<string, string>>;
export const PID = 4_242;
export const CONTAINER_ID = `${'f'.repeat(60)}0123`;
const GIB = 2 ** 30;

/** A folder with these files; removed by `[Symbol.dispose]`. */
export class Plant {
  readonly root = mkdtempSync(join(tmpdir(), 'perfopt-host-'));

  constructor(tree: Tree) {
    this.write(tree);
  }

  write(tree: Tree): void {
    for (const [path, content] of Object.entries(tree)) {
      mkdirSync(dirname(join(this.root, path)), { recursive: true });
      writeFileSync(join(this.root, path), content);
    }
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

/** Ticks of 10 ms. */
export function stat(user: number, system: number, idle: number): string {
  return [
    `cpu  ${user} 0 ${system} ${idle} 0 0 0 0 0 0`,
    ...[0, 1, 2, 3].map((cpu) => `cpu${cpu} ${user / 4} 0 ${system / 4} ${idle / 4} 0 0 0 0 0 0`),
    'intr 12 3 4',
    'btime 1700000000',
    '',
  ].join('\n');
}

export function pidStat(user: number, system: number, startTicks = 5_000, pid = PID): string {
  // A command may hold what the format uses.
  return `${pid} (python) S) R (x) S 1 ${pid} ${pid} 0 -1 4194304 100 0 7 0 ${user} ${system} 0 0 20 0 9 0 ${startTicks} 123456789 5000 18446744073709551615 1 1 0\n`;
}

export function pressure(some: number, full?: number): string {
  const line = (kind: string, avg10: number) => `${kind} avg10=${avg10.toFixed(2)} avg60=0.00 avg300=0.00 total=1\n`;
  return line('some', some) + (full === undefined ? '' : line('full', full));
}

/** 4 CPUs, 16 GiB. */
export const machine: Tree = {
  'proc/stat': stat(400, 200, 3_400),
  'proc/meminfo': [
    `MemTotal:       ${16 * 2 ** 20} kB`,
    `MemFree:         ${4 * 2 ** 20} kB`,
    `MemAvailable:    ${9 * 2 ** 20} kB`,
    `Buffers:          ${2 ** 20} kB`,
    `Cached:          ${3 * 2 ** 20} kB`,
    'SwapCached:             0 kB',
    `SReclaimable:     ${2 ** 20} kB`,
    'HugePages_Total:       0',
    '',
  ].join('\n'),
  'proc/loadavg': '0.52 1.25 2.00 2/345 6789\n',
  'proc/pressure/cpu': pressure(12.5, 0),
  'proc/pressure/memory': pressure(0, 0),
  'proc/pressure/io': pressure(3.25, 1.75),
  [`proc/${PID}/stat`]: pidStat(1_000, 500),
  [`proc/${PID}/status`]: [
    'Name:\tpython',
    'VmPeak:\t  900000 kB',
    'VmRSS:\t  204800 kB',
    'Threads:\t9',
    'Cpus_allowed_list:\t0-3',
    '',
  ].join('\n'),
  [`proc/${PID}/io`]: 'rchar: 99\nwchar: 99\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\n',
};

/** Kubernetes on cgroup v2: the limit on memory sits on the pod, above the container. */
const pod = 'sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice';
export const podV2 = pod;
export const containerV2 = `${pod}/cri-containerd-${CONTAINER_ID}.scope`;
const pathV2 = containerV2.slice('sys/fs/cgroup'.length);
export const v2: Tree = {
  ...machine,
  'proc/self/cgroup': '0::/\n',
  'proc/self/mountinfo':
    '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n31 23 8:1 / / rw - ext4 /dev/sda1 rw\n',
  [`proc/${PID}/cgroup`]: `0::${pathV2}\n`,
  'sys/fs/cgroup/cpu.stat': 'usage_usec 999999999\n',
  [`${pod}/cgroup.events`]: 'populated 1\nfrozen 0\n',
  [`${pod}/cpu.max`]: 'max 100000\n',
  [`${pod}/memory.max`]: `${2 * GIB}\n`,
  [`${containerV2}/cgroup.events`]: 'populated 1\nfrozen 0\n',
  [`${containerV2}/cpu.stat`]:
    'usage_usec 10000000\nuser_usec 8000000\nsystem_usec 2000000\nnr_periods 100\nnr_throttled 10\nthrottled_usec 500000\n',
  [`${containerV2}/cpu.max`]: '200000 100000\n',
  [`${containerV2}/memory.current`]: `${GIB}\n`,
  [`${containerV2}/memory.max`]: 'max\n',
  [`${containerV2}/memory.high`]: `${1.5 * GIB}\n`,
  [`${containerV2}/memory.stat`]: `anon ${0.5 * GIB}\nfile ${0.5 * GIB}\ninactive_file ${0.25 * GIB}\n`,
  [`${containerV2}/memory.events`]: 'low 0\nhigh 3\nmax 2\noom 1\noom_kill 1\noom_group_kill 0\n',
  [`${containerV2}/cpu.pressure`]: pressure(40, 5),
  [`${containerV2}/memory.pressure`]: pressure(1, 0.5),
  [`${containerV2}/io.pressure`]: pressure(0, 0),
};

/** Docker on cgroup v1; "no memory limit" is 2^63 rounded down to a page, the limit sits in memory.stat. */
const docker = `docker/${CONTAINER_ID}`;
export const cpuV1 = `sys/fs/cgroup/cpu,cpuacct/${docker}`;
export const memoryV1 = `sys/fs/cgroup/memory/${docker}`;
const filesV1: Tree = {
  [`${cpuV1}/cpuacct.usage`]: '10000000000\n',
  [`${cpuV1}/cpu.stat`]: 'nr_periods 100\nnr_throttled 10\nthrottled_time 500000000\n',
  [`${cpuV1}/cpu.cfs_quota_us`]: '150000\n',
  [`${cpuV1}/cpu.cfs_period_us`]: '100000\n',
  'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
  'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
  [`${memoryV1}/memory.usage_in_bytes`]: `${GIB}\n`,
  [`${memoryV1}/memory.limit_in_bytes`]: '9223372036854771712\n',
  [`${memoryV1}/memory.stat`]: `rss 1\nhierarchical_memory_limit ${3 * GIB}\ntotal_rss ${0.5 * GIB}\ntotal_inactive_file ${0.25 * GIB}\n`,
  [`${memoryV1}/memory.oom_control`]: 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n',
  [`${memoryV1}/memory.failcnt`]: '17\n',
};
const mountsV1 = [
  '33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
  '34 32 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  '35 32 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd',
];
const linesV1 = [`4:cpu,cpuacct:/${docker}`, `3:memory:/${docker}`, `1:name=systemd:/${docker}`];
export const v1: Tree = {
  ...machine,
  ...filesV1,
  'proc/self/cgroup': '4:cpu,cpuacct:/\n3:memory:/\n1:name=systemd:/init.scope\n',
  'proc/self/mountinfo': `${mountsV1.join('\n')}\n`,
  [`proc/${PID}/cgroup`]: `${linesV1.join('\n')}\n`,
};

/** v2 is mounted too, with no controllers; pressure is there, the limits are in v1. */
const unified = `sys/fs/cgroup/unified/${docker}`;
export const hybrid: Tree = {
  ...v1,
  'proc/self/mountinfo': `${[...mountsV1, '36 32 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw'].join('\n')}\n`,
  [`proc/${PID}/cgroup`]: `${[...linesV1, `0::/${docker}`].join('\n')}\n`,
  [`${unified}/cgroup.events`]: 'populated 1\n',
  [`${unified}/cpu.stat`]: 'usage_usec 77\n',
  [`${unified}/cpu.pressure`]: pressure(20),
};

/** An agent in the same container, with a cgroup namespace of its own: it sees itself as `/`. */
export const namespacedV2: Tree = {
  ...machine,
  'proc/self/cgroup': '0::/\n',
  'proc/self/mountinfo': '30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n',
  [`proc/${PID}/cgroup`]: '0::/\n',
  'sys/fs/cgroup/cgroup.events': 'populated 1\n',
  'sys/fs/cgroup/cpu.stat': 'usage_usec 5000000\n',
  'sys/fs/cgroup/cpu.max': '50000 100000\n',
  'sys/fs/cgroup/memory.current': `${GIB / 2}\n`,
  'sys/fs/cgroup/memory.max': `${GIB}\n`,
  'sys/fs/cgroup/memory.stat': 'anon 0\ninactive_file 0\n',
};

/** A sidecar in another container of the pod: the process's cgroup is outside the agent's namespace and mounts. */
export const sidecarV2: Tree = {
  ...namespacedV2,
  [`proc/${PID}/cgroup`]: `0::/../cri-containerd-${CONTAINER_ID}.scope\n`,
  [`proc/${PID}/mountinfo`]: `50 40 0:26 /../cri-containerd-${CONTAINER_ID}.scope /sys/fs/cgroup ro - cgroup2 cgroup rw\n`,
  [`proc/${PID}/root/sys/fs/cgroup/cgroup.events`]: 'populated 1\n',
  [`proc/${PID}/root/sys/fs/cgroup/cpu.stat`]: 'usage_usec 7000000\n',
  [`proc/${PID}/root/sys/fs/cgroup/memory.current`]: `${GIB / 4}\n`,
  [`proc/${PID}/root/sys/fs/cgroup/memory.max`]: '18446744073709551615\n',
};
