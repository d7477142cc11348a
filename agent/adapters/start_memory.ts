import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';

/**
 * Gives back what only the start of the agent needed.
 *
 * Starting touches most of Node's program file (its snapshot, its loader, its parsers) and leaves garbage in the heaps of
 * V8 and malloc. Afterwards some 45 MiB of 100 are resident for nothing, in every pod. So once the agent serves:
 *
 * - V8 collects, where the process was started with `--expose-gc` (see `main.ts`);
 * - `malloc_trim` returns the free pages of malloc's arena;
 * - `madvise(MADV_DONTNEED)` drops the pages of the program file that are mapped read-only. By definition this loses nothing: such
 *   a page is clean, and is mapped again from the page cache (or the file) when it is touched, which what is in use soon is.
 *
 * Mappings of which any page was ever written (relocated tables of a library, `Anonymous` above 0) are left alone:
 * their pages would come back as they are in the file.
 *
 * Linux with glibc, where koffi has a binary. Elsewhere nothing happens. Source: madvise(2), malloc_trim(3), proc_pid_smaps(5).
 */
export interface StartMemory {
  /** Never throws: where there is no such way, nothing happens. The heap of V8 is collected the first time only: later it may be large. */
  release(): Promise<void>;
  /**
   * Releases again where the process has grown since. The first telemetry makes the compilers work, and what they leave in malloc's arena and
   * touch of the program is as much as the start's. Costs two system calls where nothing has grown.
   */
  releaseIfGrown(nowMs: number): Promise<void>;
}

export interface Mapping {
  readonly start: bigint;
  readonly bytes: bigint;
}

interface Calls {
  madvise(start: bigint, bytes: bigint, advice: number): number;
  mallocTrim(keepBytes: number): number;
}

const MADV_DONTNEED = 4;
/** Less than this is what comes back by itself: pages of the program that are in use. */
const GROWN_BYTES = 16 * 2 ** 20;
/** Reading the mappings takes milliseconds: no more often, however fast the process grows. */
const LEAST_BETWEEN_MS = 30_000;
const SMAPS = '/proc/self/smaps';

export function createStartMemory(log: Logger, program = process.execPath): StartMemory {
  let calls: Calls | undefined;
  let leftBytes = Number.POSITIVE_INFINITY;
  let releasedAtMs = Number.NEGATIVE_INFINITY;
  return {
    async releaseIfGrown(nowMs) {
      if (nowMs - releasedAtMs < LEAST_BETWEEN_MS || process.memoryUsage.rss() - leftBytes < GROWN_BYTES) return;
      releasedAtMs = nowMs;
      await this.release();
    },
    async release() {
      if (process.platform !== 'linux') return;
      const beforeBytes = process.memoryUsage.rss();
      try {
        if (calls === undefined) globalThis.gc?.();
        calls ??= await openCalls();
        calls.mallocTrim(0);
        for (const { start, bytes } of cleanMappings(readFileSync(SMAPS, 'latin1'), program)) {
          if (calls.madvise(start, bytes, MADV_DONTNEED) !== 0) log.debug({ start, bytes }, 'madvise was refused');
        }
        leftBytes = process.memoryUsage.rss();
        log.debug({ beforeBytes, afterBytes: leftBytes }, 'memory that only the start needed is given back');
      } catch (error) {
        log.debug({ err: error }, 'memory that only the start needed cannot be given back here');
      }
    },
  };
}

/** The read-only mappings of a file, of which no page was ever written, in the text of `/proc/PID/smaps`. */
export function cleanMappings(smaps: string, file: string): readonly Mapping[] {
  const clean: Mapping[] = [];
  let open: Mapping | undefined;
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (head !== null) {
      const [, from = '', to = '', access = '', path = ''] = head;
      const start = BigInt(`0x${from}`);
      const isReadOnly = access === 'r--p' || access === 'r-xp';
      open = isReadOnly && path === file ? { start, bytes: BigInt(`0x${to}`) - start } : undefined;
    } else if (open !== undefined && /^Anonymous:\s+0 kB$/.test(line)) {
      clean.push(open);
    }
  }
  return clean;
}

/** Throws, in words, where koffi or the C library is missing, or is another one. */
async function openCalls(): Promise<Calls> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load('libc.so.6');
  const madvise = library.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']);
  const mallocTrim = library.func('malloc_trim', 'int', ['size_t']);
  return { madvise, mallocTrim };
}
