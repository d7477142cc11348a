import { cpus } from 'node:os';
import type { ComponentProcess } from '../../core/model.ts';
import type { CpuTimes } from './proc_parse.ts';
import type { ProcessReading, Reading, ReadingSource } from './reading.ts';
import { SystemQuestions } from './system_questions.ts';
import type { SampleAnswer } from './system_worker.ts';

/** Listing processes takes half a second on a quiet machine. */
const ANSWER_WITHIN_MS = 10_000;

/**
 * Readings on platforms without `/proc` (macOS, Windows): CPU times from Node itself, memory and processes through
 * `systeminformation`. No pressure, and no containers.
 */
export class SystemInformationSource implements ReadingSource {
  readonly #questions = new SystemQuestions();
  readonly #monotonicMs: () => number;
  #failures = 0;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  get failures(): number {
    return this.#failures;
  }

  async read(targets: readonly ComponentProcess[]): Promise<Reading> {
    const logicalCpus = cpus().length;
    const cpuTimes = machineTimes();
    const monotonicMs = this.#monotonicMs();
    const base = { cpuTimes, logicalCpus, pressure: {} };
    try {
      const pids = targets.map((target) => target.pid);
      const answer = await this.#questions.sample(pids, ANSWER_WITHIN_MS);
      const processes = targets.flatMap((target) => processOf(target, answer, logicalCpus));
      return { monotonicMs, host: { ...base, memory: answer.memory }, containers: [], processes };
    } catch {
      // Said by the count; what Node itself knows is still worth having.
      this.#failures += 1;
      return { monotonicMs, host: base, containers: [], processes: [] };
    }
  }

  async close(): Promise<void> {
    await this.#questions.close();
  }
}

function machineTimes(): CpuTimes {
  const seconds = (mode: 'user' | 'nice' | 'sys' | 'idle' | 'irq') =>
    cpus().reduce((total, cpu) => total + cpu.times[mode], 0) / 1_000;
  const [user, nice, system, idle] = [seconds('user'), seconds('nice'), seconds('sys'), seconds('idle')];
  return { user, nice, system, idle, iowait: 0, interrupt: seconds('irq'), steal: 0 };
}

function processOf({ component, pid }: ComponentProcess, answer: SampleAnswer, logicalCpus: number): ProcessReading[] {
  const process = answer.processes.find((each) => each.pid === pid);
  if (process === undefined) return [];
  // macOS gives percent of one core (from `ps`), the others percent of the machine.
  const wholeCores = globalThis.process.platform === 'darwin' ? 1 : logicalCpus;
  return [
    {
      component,
      pid,
      startTicks: Date.parse(process.started) || 0,
      cpu: { kind: 'cores', cores: (process.cpuPercent / 100) * wholeCores },
      availableCores: logicalCpus,
      residentBytes: process.residentBytes,
    },
  ];
}
