import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cgroupFolder,
  containerIdOf,
  effectiveLimit,
  parseBytes,
  parseCgroupMounts,
  parseCpuMax,
  parseFlatKeyed,
  parseProcCgroup,
} from '../../agent/adapters/host/cgroup_parse.ts';
import { parseDiskstats, parseMountinfo } from '../../agent/adapters/host/disk_parse.ts';
import {
  countCpuList,
  parseLoadavg,
  parseMeminfo,
  parsePidIo,
  parsePidStat,
  parsePidStatus,
  parsePressure,
  parseStat,
} from '../../agent/adapters/host/proc_parse.ts';
import { CONTAINER_ID, machine, PID, pidStat, pressure, stat } from './fixtures_host/trees.ts';

describe('/proc', () => {
  it('stat: seconds by mode, and the number of CPUs', () => {
    const parsed = parseStat('cpu  100 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n');
    expect(parsed).toEqual({
      times: { user: 1, nice: 0.2, system: 0.3, idle: 4, iowait: 0.5, interrupt: 0.13, steal: 0.08 },
      logicalCpus: 2,
    });
    expect(parseStat(stat(400, 200, 3_400))!.logicalCpus).toBe(4);
    // A kernel of 2.4 has four columns.
    expect(parseStat('cpu 1 2 3 4\n')!.times.steal).toBe(0);
  });

  it('meminfo: bytes; available only where the kernel says it', () => {
    expect(parseMeminfo(machine['proc/meminfo']!)).toEqual({
      total: 16 * 2 ** 30,
      free: 4 * 2 ** 30,
      buffers: 2 ** 30,
      cached: 4 * 2 ** 30,
      available: 9 * 2 ** 30,
    });
    expect(parseMeminfo('MemTotal: 10 kB\nMemFree: 4 kB\n')).toEqual({
      total: 10_240,
      free: 4_096,
      buffers: 0,
      cached: 0,
    });
  });

  it('loadavg and pressure', () => {
    expect(parseLoadavg('0.52 1.25 2.00 2/345 6789\n')).toEqual([0.52, 1.25, 2]);
    expect(parsePressure(pressure(12.5, 3))).toEqual({ some: 0.125, full: 0.03 });
    expect(parsePressure(pressure(12.5))).toEqual({ some: 0.125 });
  });

  it('pid stat: fields count from the last parenthesis of the command', () => {
    expect(parsePidStat(pidStat(1_000, 500, 77))).toEqual({
      majorFaults: 7,
      userSeconds: 10,
      systemSeconds: 5,
      threads: 9,
      startTicks: 77,
    });
  });

  it('pid status and io; a kernel thread has no resident memory', () => {
    expect(parsePidStatus(machine[`proc/${PID}/status`]!)).toEqual({ residentBytes: 200 * 2 ** 20, allowedCpus: 4 });
    expect(parsePidStatus('Name:\tkthreadd\nThreads:\t1\n')).toEqual({});
    expect(parsePidIo(machine[`proc/${PID}/io`]!)).toEqual({ readBytes: 4_096, writeBytes: 8_192 });
  });

  it('CPU lists', () => {
    expect(countCpuList('0-3,8')).toBe(5);
    expect(countCpuList('5')).toBe(1);
    expect(countCpuList('')).toBe(0);
    expect(countCpuList('a-b')).toBe(0);
  });
});

describe('cgroups', () => {
  it('lines of v1, named and v2 hierarchies, with colons in paths', () => {
    expect(parseProcCgroup('4:cpu,cpuacct:/a\n1:name=systemd:/b:c\n0::/d e\n')).toEqual([
      { controllers: ['cpu', 'cpuacct'], path: '/a' },
      { controllers: ['name=systemd'], path: '/b:c' },
      { controllers: [], path: '/d e' },
    ]);
  });

  it('mounts, with optional fields and escaped blanks', () => {
    const text =
      '30 23 0:26 /a\\040b /sys/fs/cg\\134x rw shared:4 master:1 - cgroup2 cgroup2 rw\n31 1 8:1 / / rw - ext4 x rw\n';
    expect(parseCgroupMounts(text)).toEqual([
      { version: 2, controllers: [], root: '/a b', mountPoint: '/sys/fs/cg\\x' },
    ]);
  });

  it.each([
    ['/', '/', '/m'],
    ['/', '/a/b', '/m/a/b'],
    ['/a', '/a', '/m'],
    ['/a', '/a/b', '/m/b'],
    ['/a', '/ab', undefined],
    ['/a', '/', undefined],
    ['/', '/../other', undefined],
    ['/../other', '/../other', '/m'],
  ])('mount of %s shows %s at %s', (root, path, folder) => {
    expect(cgroupFolder({ version: 2, controllers: [], root, mountPoint: '/m' }, path)).toBe(folder);
  });

  it('limits: every spelling of "none" is absent', () => {
    expect(parseCpuMax('200000 100000\n')).toBe(2);
    expect(parseCpuMax('max 100000\n')).toBeUndefined();
    expect(parseCpuMax('-1 100000')).toBeUndefined();
    expect(parseCpuMax('1e999 1e999')).toBeUndefined();
    expect(parseBytes('max\n')).toBeUndefined();
    for (const none of [
      parseBytes('18446744073709551615\n'),
      parseBytes('9223372036854771712\n'),
      2 ** 34,
      0,
      Number.NaN,
      undefined,
    ]) {
      expect(effectiveLimit(none, 2 ** 34)).toBeUndefined();
    }
    expect(effectiveLimit(2 ** 33, 2 ** 34)).toBe(2 ** 33);
    expect(effectiveLimit(2 ** 33, undefined)).toBe(2 ** 33);
  });

  it('flat keyed files', () => {
    expect([...parseFlatKeyed('a 1\nb.c 2\nnot a pair\n')]).toEqual([
      ['a', 1],
      ['b.c', 2],
    ]);
  });

  it.each([
    `/docker/${CONTAINER_ID}`,
    `/kubepods.slice/x.slice/cri-containerd-${CONTAINER_ID}.scope`,
    `/system.slice/docker-${CONTAINER_ID}.scope`,
    `/kubepods-pod1.slice:cri-containerd:${CONTAINER_ID}`,
    `/libpod-${CONTAINER_ID}.scope/container`,
  ])('container id in %s', (path) => {
    expect(containerIdOf(path)).toBe(CONTAINER_ID);
  });

  it('no container id in other paths', () => {
    expect(containerIdOf('/user.slice/user-0.slice')).toBeUndefined();
    expect(containerIdOf(`/x${CONTAINER_ID}`)).toBeUndefined();
  });
});

it('no parser throws or gives a number that is none, whatever a file holds', () => {
  const parsers = [
    parseStat,
    parseMeminfo,
    parseLoadavg,
    parsePressure,
    parsePidStat,
    parsePidStatus,
    parsePidIo,
    countCpuList,
    parseProcCgroup,
    parseCgroupMounts,
    parseCpuMax,
    parseBytes,
  ];
  const fragment = fc.constantFrom(
    'cpu ',
    'cpu0 ',
    '12',
    '-3',
    ' ',
    '\n',
    ')',
    'some avg10=',
    '0.5',
    'Name:',
    '9'.repeat(400),
    'MemTotal:',
    ' kB',
    '1e999',
    ' - cgroup2 ',
    '::/',
  );
  const hostile = fc.oneof(
    fc.string(),
    fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      // NaN and the infinities become null in JSON.
      for (const parse of parsers) expect(JSON.stringify(parse(text)) ?? '').not.toContain('null');
    }),
    { numRuns: 500 },
  );
});

describe('disks', () => {
  it('diskstats: whole disks that were used, in bytes and seconds', () => {
    const text = [
      '   7       0 loop0 9 0 9 9 0 0 0 0 0 9 9',
      ' 259       0 nvme0n1 100 5 2000 300 200 7 4000 500 0 600 800 0 0 0 0 9 9',
      ' 259       1 nvme0n1p1 90 5 1800 300 200 7 4000 500 0 600 800',
      '   8       0 sda 1 0 8 2 0 0 0 0 0 2 2',
      '   8       1 sda1 1 0 8 2 0 0 0 0 0 2 2',
      '   8      16 sdb 0 0 0 0 0 0 0 0 0 0 0',
      ' 253       0 dm-0 9 0 9 9 9 0 9 9 0 9 9',
      '',
    ].join('\n');
    const disks = parseDiskstats(text)!;
    expect(disks.map(({ device }) => device)).toEqual(['nvme0n1', 'sda']);
    expect(disks[0]).toEqual({
      ...{ device: 'nvme0n1', reads: 100, writes: 200, readBytes: 1_024_000, writeBytes: 2_048_000 },
      ...{ readSeconds: 0.3, writeSeconds: 0.5, busySeconds: 0.6 },
    });
    expect(parseDiskstats('8 0 sda x\n')).toBeUndefined();
    expect(parseDiskstats('')).toEqual([]);
  });

  it('mountinfo: each writable local file system once, bind mounts or not', () => {
    const text = [
      '22 27 0:21 / /proc rw,relatime - proc proc rw',
      '26 27 8:1 /var/state /etc/hosts rw - ext4 /dev/sda1 rw',
      '27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
      '28 27 8:17 / /mnt/big\\040data rw - xfs /dev/sdb1 rw',
      '29 27 7:1 / /snap/core ro - squashfs /dev/loop1 ro',
      '30 27 8:33 / /image rw - ext4 /dev/sdc1 ro',
      '31 27 0:40 / /home rw - nfs4 server:/home rw',
      '32 27 0:41 / /layers rw - overlay overlay rw',
      '33 27 0:42 / /dev/shm rw - tmpfs tmpfs rw',
      '',
    ].join('\n');
    expect(parseMountinfo(text)!.map(({ mountPoint, device }) => [mountPoint, device])).toEqual([
      ['/', '/dev/sda1'],
      ['/mnt/big data', '/dev/sdb1'],
      ['/layers', 'overlay'],
    ]);
    expect(parseMountinfo('nonsense\n')).toBeUndefined();
  });

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const disk of parseDiskstats(text) ?? []) expect(disk.reads + disk.writes).toBeGreaterThan(0);
        for (const mount of parseMountinfo(text) ?? []) expect(mount.id).not.toBe('');
      }),
    );
  });
});
