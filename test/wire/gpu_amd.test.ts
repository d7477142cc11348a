import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { GpuBench, GpuMachine } from '../unit/fixtures_gpu/rig.ts';

const GIB = 2 ** 30;
const CARD0 = 'sys/class/drm/card0/device';
const CARD1 = 'sys/class/drm/card1/device';
/** An Instinct accelerator, and a small one that tells little and calls its power otherwise. */
const MACHINE = {
  [`${CARD0}/vendor`]: '0x1002\n',
  [`${CARD0}/gpu_busy_percent`]: '83\n',
  [`${CARD0}/mem_busy_percent`]: '31\n',
  [`${CARD0}/mem_info_vram_used`]: `${8 * GIB}\n`,
  [`${CARD0}/mem_info_vram_total`]: `${64 * GIB}\n`,
  [`${CARD0}/unique_id`]: 'd1a2b3c4e5f60718\n',
  [`${CARD0}/product_name`]: 'AMD Instinct MI210\n',
  [`${CARD0}/hwmon/hwmon5/power1_average`]: '212000000\n',
  [`${CARD0}/hwmon/hwmon5/temp1_input`]: '54000\n',
  [`${CARD0}/hwmon/hwmon5/freq1_input`]: '1700000000\n',
  [`${CARD1}/vendor`]: '0x1002\n',
  [`${CARD1}/mem_info_vram_used`]: '1048576\n',
  [`${CARD1}/mem_info_vram_total`]: '536870912\n',
  [`${CARD1}/unique_id`]: '\n',
  [`${CARD1}/uevent`]: 'DRIVER=amdgpu\nPCI_SLOT_NAME=0000:0a:00.0\n',
  [`${CARD1}/hwmon/hwmon6/power1_input`]: '9000000\n',
  // A connector, a card of somebody else, and a display without a device.
  'sys/class/drm/card0-DP-1/status': 'connected\n',
  'sys/class/drm/card2/device/vendor': '0x8086\n',
  'sys/class/drm/card3/dev': '226:3\n',
};

let machine: GpuMachine;
let bench: GpuBench;
function start(files: Readonly<Record<string, string>> = MACHINE, readMs = 20_000): GpuBench {
  machine = new GpuMachine(files);
  bench = new GpuBench(machine, { timeouts: { openMs: 20_000, readMs } });
  return bench;
}
afterEach(async () => {
  await bench.sampler.stop(AbortSignal.timeout(20_000));
  machine[Symbol.dispose]();
});

describe('AMD GPUs in sysfs', () => {
  it('tell what they say, after NVIDIA was looked for in vain', async () => {
    const b = start();
    const points = (await b.sample())();
    expect(points).toEqual({
      'd1a2b3c4e5f60718 hw.gpu.utilization general': 0.83,
      'd1a2b3c4e5f60718 hw.gpu.memory.controller.utilization': 0.31,
      'd1a2b3c4e5f60718 hw.gpu.memory.usage': 8 * GIB,
      'd1a2b3c4e5f60718 hw.gpu.memory.limit': 64 * GIB,
      'd1a2b3c4e5f60718 hw.gpu.memory.utilization': 0.125,
      'd1a2b3c4e5f60718 hw.power': 212,
      'd1a2b3c4e5f60718 hw.temperature': 54,
      'd1a2b3c4e5f60718 hw.gpu.speed': 1.7e9,
      '0000:0a:00.0 hw.gpu.memory.usage': 1_048_576,
      '0000:0a:00.0 hw.gpu.memory.limit': 536_870_912,
      '0000:0a:00.0 hw.gpu.memory.utilization': 2 ** -9,
      '0000:0a:00.0 hw.power': 9,
    });
    expect(b.notices).toEqual([{ kind: 'reading', source: 'amd', devices: 2 }]);
    expect(b.batches[0]!.series[0]!.attributes.get('hw.name')).toBe('AMD Instinct MI210');
  });

  it('that say nonsense are not believed, and it is counted', async () => {
    const b = start({ ...MACHINE, [`${CARD0}/gpu_busy_percent`]: 'busy\n' });
    const points = (await b.sample())();
    expect(points['d1a2b3c4e5f60718 hw.gpu.utilization general']).toBeUndefined();
    expect(points['d1a2b3c4e5f60718 hw.power']).toBe(212);
    expect(b.sampler.counts.failures).toBe(1);
  });

  it.skipIf(process.platform === 'win32')('whose driver hangs are given up, and read again later', async () => {
    const b = start(MACHINE, 250);
    await b.sample();
    // Opening a pipe that nobody writes to waits for ever, as a file of a driver in trouble does.
    machine.remove(`${CARD0}/gpu_busy_percent`);
    execFileSync('mkfifo', [machine.path(`${CARD0}/gpu_busy_percent`)]);
    expect((await b.sample(1_000))()).toEqual({});
    expect(b.sampler.counts).toMatchObject({ samples: 1, failures: 1, hangs: 1 });
    machine.remove(`${CARD0}/gpu_busy_percent`);
    machine.write(`${CARD0}/gpu_busy_percent`, '5\n');
    expect((await b.sample(1_000))()['d1a2b3c4e5f60718 hw.gpu.utilization general']).toBe(0.05);
  });
});

describe('a machine without a GPU', () => {
  it('starts nothing, tells nothing, and says once why', async () => {
    const b = start({ 'sys/class/drm/version': 'drm 1.1.0\n' });
    expect((await b.sample())()).toEqual({});
    for (let i = 0; i < 100; i++) await b.sample(10_000);
    const nothing = 'nothing of the kind is on this machine';
    expect(b.notices).toEqual([{ kind: 'none', reasons: { nvml: nothing, 'nvidia-smi': nothing, amd: nothing } }]);
    expect(b.batches).toEqual([]);
    expect(b.sampler.counts).toEqual({ samples: 0, points: 0, dropped: 0, failures: 0, hangs: 0, skipped: 0 });
  });
});
