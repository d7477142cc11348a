import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer, GpuDevice } from './reading.ts';

const AMD = '0x1002';
const CARD = /^card\d+$/;
/** Files that a card, a kernel or a permission lacks, or that answer "not supported now", as a sleeping GPU's do. */
const ABSENT_CODES = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ENODEV', 'EOPNOTSUPP', 'EINVAL', 'EBUSY']);

/**
 * Reads AMD GPUs from sysfs, as the amdgpu driver shows them. Runs in the reader process: these files are not memory but
 * calls into the driver, which may wake a sleeping GPU, or wait for one that is being reset.
 */
export class AmdDevices {
  readonly #root: string;
  #failures = 0;

  constructor(root: string) {
    this.#root = root;
  }

  read(): Answer {
    const before = this.#failures;
    const devices = amdCards(this.#root).flatMap((folder) => this.#readCard(folder) ?? []);
    const failures = this.#failures - before;
    if (devices.length > 0) return { state: 'read', devices, failures };
    if (failures > 0) return { state: 'failed', reason: 'no file of any AMD GPU could be read' };
    return { state: 'absent', reason: 'there is no AMD GPU in sysfs' };
  }

  #readCard(folder: string): GpuDevice | undefined {
    const number = (path: string) => this.#number(join(folder, path));
    const utilization = number('gpu_busy_percent');
    const memoryController = number('mem_busy_percent');
    const memoryUsedBytes = number('mem_info_vram_used');
    const memoryTotalBytes = number('mem_info_vram_total');
    // A card without either is driven by something else, or is none that computes.
    if (utilization === undefined && memoryUsedBytes === undefined) return undefined;
    const sensors = hwmonOf(folder);
    const sensor = (file: string) => (sensors === undefined ? undefined : this.#number(join(sensors, file)));
    // Newer GPUs tell only the one of the moment, in microwatts like the other.
    const power = sensor('power1_average') ?? sensor('power1_input');
    const temperature = sensor('temp1_input');
    const clockHertz = sensor('freq1_input');
    const name = this.#text(join(folder, 'product_name'));
    return {
      id: this.#idOf(folder),
      ...(name !== undefined && name !== '' && { name }),
      vendor: 'AMD',
      ...(utilization !== undefined && { utilizationRatio: utilization / 100 }),
      ...(memoryController !== undefined && { memoryControllerRatio: memoryController / 100 }),
      ...(memoryUsedBytes !== undefined && { memoryUsedBytes }),
      ...(memoryTotalBytes !== undefined && { memoryTotalBytes }),
      ...(power !== undefined && { powerWatts: power / 1e6 }),
      ...(temperature !== undefined && { temperatureCelsius: temperature / 1_000 }),
      ...(clockHertz !== undefined && { clockHertz }),
    };
  }

  /** The chip's own id where it has one, else its place on the bus, else its place in the list. */
  #idOf(folder: string): string {
    const unique = this.#text(join(folder, 'unique_id'));
    if (unique !== undefined && /[1-9a-f]/.test(unique)) return unique;
    const slot = /^PCI_SLOT_NAME=(\S+)$/m.exec(this.#text(join(folder, 'uevent')) ?? '')?.[1];
    return slot ?? join(folder, '..').split('/').at(-1) ?? folder;
  }

  #number(path: string): number | undefined {
    const text = this.#text(path);
    if (text === undefined) return undefined;
    if (/^\d+$/.test(text)) return Number(text);
    this.#failures += 1;
    return undefined;
  }

  #text(path: string): string | undefined {
    try {
      return readFileSync(path, 'latin1').trim();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (typeof code !== 'string' || !ABSENT_CODES.has(code)) this.#failures += 1;
      return undefined;
    }
  }
}

/** Folders of AMD's cards. The vendor is kept by the kernel's PCI layer: reading it does not reach the driver. */
export function amdCards(root: string): readonly string[] {
  const drm = join(root, 'sys/class/drm');
  try {
    return readdirSync(drm)
      .filter((name) => CARD.test(name))
      .sort()
      .map((name) => join(drm, name, 'device'))
      .filter((folder) => {
        try {
          return readFileSync(join(folder, 'vendor'), 'latin1').trim() === AMD;
        } catch {
          // A display without a PCI device behind it.
          return false;
        }
      });
  } catch {
    // No graphics at all, or no Linux.
    return [];
  }
}

function hwmonOf(folder: string): string | undefined {
  try {
    const name = readdirSync(join(folder, 'hwmon')).find((each) => each.startsWith('hwmon'));
    return name === undefined ? undefined : join(folder, 'hwmon', name);
  } catch {
    // No sensors.
    return undefined;
  }
}
