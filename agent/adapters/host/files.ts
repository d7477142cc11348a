import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** Why a file gave no text: not there (or not for us), or there and unreadable. */
const ABSENT_CODES = new Set(['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES', 'EPERM', 'ENODEV', 'EOPNOTSUPP']);

/** `memory.stat` has about 4 KiB, `/proc/stat` of a machine with hundreds of CPUs about 100 KiB. */
const BUFFER_BYTES = 64 * 1_024;
const MAX_FILE_BYTES = 1 << 20;

export interface FileCounts {
  /** Files read. */
  read: number;
  /** Present but unreadable, or with a text that is not what its name promises. */
  failed: number;
}

/**
 * Reads small kernel files below a root folder, one after another, in the calling thread: the kernel makes their text on
 * the spot (10 to 100 µs), so a thread hop would cost more than the read. A file that is not there is `undefined`; one
 * that fails is counted. Never throws.
 */
export class KernelFiles {
  readonly counts: FileCounts = { read: 0, failed: 0 };
  readonly #root: string;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);

  constructor(root: string) {
    this.#root = root;
  }

  text(path: string): string | undefined {
    let fd: number | undefined;
    try {
      fd = openSync(join(this.#root, path), 'r');
      let text = '';
      for (;;) {
        const bytes = readSync(fd, this.#buffer, 0, BUFFER_BYTES, null);
        if (bytes === 0) break;
        text += this.#buffer.toString('latin1', 0, bytes);
        if (text.length > MAX_FILE_BYTES) throw new RangeError(`${path} is longer than ${MAX_FILE_BYTES} bytes`);
      }
      this.counts.read += 1;
      return text;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (typeof code !== 'string' || !ABSENT_CODES.has(code)) this.counts.failed += 1;
      return undefined;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /** Reads and parses; a text that the parser refuses counts as failed. */
  parsed<T>(path: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(path);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.counts.failed += 1;
    return value;
  }

  /** Like `parsed`, for files whose text may rightly say "none" (`max`, −1). */
  optional<T>(path: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(path);
    return text === undefined ? undefined : parse(text);
  }
}
