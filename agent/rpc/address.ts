import { join } from 'node:path';

/** TCP address of the control channel when nothing else is said; loopback only. */
export const DEFAULT_TCP_ADDRESS = '127.0.0.1:4319';

/**
 * Where agent and processes of one user meet when nothing else is said: the user's runtime directory, or else a
 * directory of the user's own under /tmp.
 */
export function defaultSocketPath(runtimeDirectory: string | undefined, uid: number): string {
  return runtimeDirectory
    ? join(runtimeDirectory, 'performance-optimizer', 'control.sock')
    : `/tmp/performance-optimizer-${uid}/control.sock`;
}

export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Reads `unix:/absolute/path`, `host:port` or `[ipv6]:port`. Throws with what is allowed. */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length).replace(/^\/\/\//, '/');
    if (!path.startsWith('/')) throw new RangeError(`address "${text}": a socket path must be absolute: unix:/path`);
    return { kind: 'unix', path };
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535)
    throw new RangeError(`address "${text}": expected unix:/absolute/path, host:port or [ipv6]:port`);
  return { kind: 'tcp', host, port };
}

/** The address as grpc-js wants it. */
export function grpcTarget(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether only this machine can reach the address. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
