import { SystemQuestions } from './system_questions.ts';
import type { Part } from './system_worker.ts';

/** What the machine is made of. Absent: the platform did not say, and `problems` says why. */
export interface Inventory {
  readonly cpu?: {
    readonly model: string;
    readonly logicalCores: number;
    readonly physicalCores: number;
    /** Absent in many virtual machines. */
    readonly speedGHz?: number;
  };
  readonly memoryBytes?: number;
  readonly gpus: readonly { readonly vendor: string; readonly model: string; readonly memoryBytes?: number }[];
  readonly os?: {
    readonly platform: string;
    readonly distribution: string;
    readonly release: string;
    readonly kernel: string;
    readonly architecture: string;
  };
  readonly problems: readonly string[];
}

/**
 * Asks once what the machine is made of. Takes up to seconds, in a thread of its own: start the agent first and let this
 * arrive when it does. Never rejects; after `timeoutMs` the inventory is empty and says so.
 */
export async function readInventory({ timeoutMs }: { readonly timeoutMs: number }): Promise<Inventory> {
  const questions = new SystemQuestions();
  try {
    const answer = await questions.inventory(timeoutMs);
    const problems: string[] = [];
    const known = <T>(name: string, part: Part<T>): T | undefined => {
      if (part.ok) return part.value;
      problems.push(`${name}: ${part.error}`);
      return undefined;
    };
    const cpu = known('cpu', answer.cpu);
    const memory = known('memory', answer.memory);
    const gpus = known('gpus', answer.gpus) ?? [];
    const os = known('os', answer.os);
    return {
      ...(cpu !== undefined && {
        cpu: {
          model: `${cpu.manufacturer} ${cpu.brand}`.trim(),
          logicalCores: cpu.cores,
          physicalCores: cpu.physicalCores,
          ...(cpu.speedGHz > 0 && { speedGHz: cpu.speedGHz }),
        },
      }),
      ...(memory !== undefined && { memoryBytes: memory.totalBytes }),
      gpus: gpus.map(({ vendor, model, vramMebibytes }) => ({
        vendor,
        model,
        ...(vramMebibytes !== null && vramMebibytes > 0 && { memoryBytes: vramMebibytes * 2 ** 20 }),
      })),
      ...(os !== undefined && { os }),
      problems,
    };
  } catch (error) {
    return { gpus: [], problems: [error instanceof Error ? error.message : String(error)] };
  } finally {
    await questions.close();
  }
}
