import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** Why a cgroup or a file of it is left alone. */
export class TouchRefused extends Error {
  override readonly name = 'TouchRefused';
}

/** `CGROUP2_SUPER_MAGIC` of `linux/magic.h`. */
const CGROUP2_MAGIC = 0x63677270;
/** Levels below a component's cgroup in which the agent looks for itself. */
const DEEPEST = 4;

export interface TreeOptions {
  /** The delegated subtree's top. */
  readonly root: string;
  /** `statfs(2)`'s type; another one in tests on a fake tree. */
  readonly fileSystemType?: (path: string) => number;
  readonly ownPid?: number;
}

/**
 * The part of the cgroup hierarchy that was delegated to the agent, and nothing else. Everything is checked again at every use,
 * because cgroups come and go: the subtree is a cgroup2 file system and not the hierarchy's own top, and a folder in it is
 * really in it (no link leads out), is not its top, and does not hold the agent itself.
 */
export class DelegatedTree {
  readonly root: string;
  readonly #options: TreeOptions;

  constructor(options: TreeOptions) {
    this.root = options.root;
    this.#options = options;
  }

  read(path: string, file: string): string {
    const folder = this.#folder(path);
    try {
      return readFileSync(join(folder, file), 'latin1').trim();
    } catch (error) {
      throw refusal(error, `${path}/${file}`, 'read');
    }
  }

  write(path: string, file: string, value: string): void {
    const folder = this.#folder(path);
    if (holds(folder, String(this.#options.ownPid ?? process.pid), DEEPEST)) {
      throw new TouchRefused(`${path}: holds the agent itself, which must not slow itself down`);
    }
    let fd: number | undefined;
    try {
      // Without O_CREAT: a controller that is not there must not become a file.
      fd = openSync(join(folder, file), constants.O_WRONLY | constants.O_TRUNC);
      writeSync(fd, value);
    } catch (error) {
      throw refusal(error, `${path}/${file}`, 'written');
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /** The folder gone is no refusal: there is nothing to touch any more. */
  isThere(path: string): boolean {
    return statSync(join(this.root, path), { throwIfNoEntry: false })?.isDirectory() === true;
  }

  #folder(path: string): string {
    const root = this.#checkedRoot();
    let folder: string;
    try {
      folder = realpathSync(join(root, path));
    } catch (error) {
      throw refusal(error, path, 'found');
    }
    if (folder === root) throw new TouchRefused(`${path}: is the top of the delegated subtree, which stays as it is`);
    if (!folder.startsWith(`${root}/`)) {
      throw new TouchRefused(`${path}: leads to ${folder}, outside the delegated subtree ${root}`);
    }
    return folder;
  }

  #checkedRoot(): string {
    const { root, fileSystemType = (path) => statfsSync(path).type } = this.#options;
    let real: string;
    try {
      real = realpathSync(root);
    } catch (error) {
      throw refusal(error, root, 'found');
    }
    if (fileSystemType(real) !== CGROUP2_MAGIC) {
      throw new TouchRefused(
        `${root}: is not in a cgroup2 file system; give the subtree that was delegated to the agent`,
      );
    }
    // Every cgroup has a type but the hierarchy's top.
    if (textOf(join(real, 'cgroup.type')) === '') {
      throw new TouchRefused(`${root}: is the top of the hierarchy, which belongs to the machine; give a subtree`);
    }
    return real;
  }
}

/** Whether a process is in a cgroup or in one below it. */
function holds(folder: string, pid: string, depth: number): boolean {
  if (textOf(join(folder, 'cgroup.procs')).split('\n').includes(pid)) return true;
  if (depth === 0) return false;
  return readdirSync(folder, { withFileTypes: true }).some(
    (entry) => entry.isDirectory() && holds(join(folder, entry.name), pid, depth - 1),
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // Not there, or not for us to read: both mean that it says nothing.
    return '';
  }
}

function refusal(error: unknown, what: string, verb: string): TouchRefused {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const why =
    code === 'ENOENT'
      ? verb === 'found'
        ? 'there is no such cgroup'
        : 'there is no such file: its controller is not delegated (cgroup.subtree_control of the cgroup above)'
      : code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
        ? 'the agent is not allowed to'
        : error instanceof Error
          ? error.message
          : String(error);
  return new TouchRefused(`${what}: cannot be ${verb}: ${why}`, { cause: error });
}
