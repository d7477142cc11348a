/**
 * Where the control channel listens. A socket file is 0600 from the first instant that it can be found: it is bound in a
 * directory that only we can enter, and moved to its place when it is ready. The file of an agent that died is replaced;
 * that of one that lives is an error, and so is anything there that is no socket.
 */
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { type Address, grpcTarget, isLocal, parseAddress } from '../../rpc/address.ts';
import type { Certificates } from '../../rpc/certificates.ts';
import type { Transport } from './access.ts';

/** What the kernel takes for a socket's path, less the terminating zero. */
const MAX_SOCKET_PATH = 107;

/** An address that cannot be listened on, and what can be done about it. */
export class ListenError extends Error {
  override name = 'ListenError';
}

export interface Listening {
  /** The address with the port that it really got. */
  readonly address: string;
  /** Takes the socket file away. */
  release(): void;
}

/** Reads addresses and refuses those that the world could reach, unless clients have to show a certificate there. */
export function readAddresses(listen: readonly string[], isMutual: boolean): readonly Address[] {
  return listen.map((text) => {
    const address = parseAddress(text);
    if (isLocal(address) || isMutual) return address;
    throw new ListenError(
      `control: ${text} can be reached from other machines, which needs mutual TLS (mTLS): give control.tls with cert, key ` +
        'and clientCa, or listen on 127.0.0.1, [::1] or a Unix socket',
    );
  });
}

export function transportOf(address: Address): Transport {
  if (address.kind === 'unix') return 'socket';
  return isLocal(address) ? 'loopback' : 'network';
}

/** A socket file is never encrypted: whoever can read what passes through it can read our memory as well. */
export async function listenOn(server: Server, address: Address, certificates?: Certificates): Promise<Listening> {
  if (address.kind === 'unix') return listenOnSocket(server, address.path);
  const port = await bind(server, grpcTarget(address), certificates?.serverCredentials());
  return { address: grpcTarget({ ...address, port }), release() {} };
}

async function listenOnSocket(server: Server, path: string): Promise<Listening> {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new ListenError(`control: cannot make the directory ${directory} for the socket: ${reasonOf(error)}`);
  }
  const owner = lstatSync(directory).uid;
  const uid = process.getuid?.();
  if (uid !== undefined && owner !== uid && owner !== 0)
    throw new ListenError(
      `control: ${directory} belongs to user ${owner}, who could put a socket of theirs in our place`,
    );
  await makeRoom(path);
  let own: string;
  try {
    own = mkdtempSync(join(directory, '.'));
  } catch (error) {
    throw new ListenError(`control: cannot write in ${directory}: ${reasonOf(error)}`);
  }
  const bound = join(own, 's');
  try {
    for (const used of [path, bound])
      if (Buffer.byteLength(used) > MAX_SOCKET_PATH)
        throw new ListenError(
          `control: the socket path ${used} is longer than ${MAX_SOCKET_PATH} bytes; choose a shorter one`,
        );
    await bind(server, `unix:${bound}`);
    chmodSync(bound, 0o600);
    renameSync(bound, path);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  const inode = lstatSync(path).ino;
  return { address: `unix:${path}`, release: () => removeOwn(path, inode) };
}

/** Sees to it that nothing stands at `path` that must not be replaced. */
async function makeRoom(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new ListenError(`control: ${path} exists and is no socket; it is left alone, so choose another path`);
  if (await isAnswered(path))
    throw new ListenError(`control: another agent is listening on ${path}; stop it, or choose another path`);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createConnection(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      // Nobody has it open (or it went away while we looked): left over from an agent that died.
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(new ListenError(`control: cannot tell whether ${path} is in use: ${error.message}`));
    });
  });
}

/** Another agent may have put its own there since. */
function removeOwn(path: string, inode: number): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() && found.ino === inode) rmSync(path, { force: true });
}

function bind(server: Server, target: string, credentials = ServerCredentials.createInsecure()): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error) reject(new ListenError(`control: cannot listen on ${target}: ${error.message}`));
      else resolve(port);
    });
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
