import { lstatSync, rmSync } from 'node:fs';
import { createConnection, type Server as HttpServer } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { type Address, grpcTarget } from '../../rpc/address.ts';
import type { Certificates } from '../../rpc/certificates.ts';

/** An address that cannot be listened on, and what can be done about it. */
export class OtlpListenError extends Error {
  override name = 'OtlpListenError';
}

/** Binds and returns the address with the port that it got. A socket file that nobody answers on is replaced. */
export async function listenOn(server: Server, address: Address, certificates?: Certificates): Promise<string> {
  if (address.kind === 'unix') await makeRoom('gRPC', address.path);
  const target = grpcTarget(address);
  const credentials = certificates?.serverCredentials() ?? ServerCredentials.createInsecure();
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error) reject(new OtlpListenError(explain('gRPC', target, error.message)));
      else resolve(address.kind === 'unix' ? target : grpcTarget({ ...address, port }));
    });
  });
}

/** The same for a server of HTTP. */
export async function listenHttpOn(server: HttpServer, address: Address): Promise<string> {
  if (address.kind === 'unix') await makeRoom('HTTP', address.path);
  const target = grpcTarget(address);
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(new OtlpListenError(explain('HTTP', target, error.message)));
    server.once('error', failed);
    server.listen(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }, () => {
      server.off('error', failed);
      const bound = server.address();
      const isTcp = address.kind === 'tcp' && bound !== null && typeof bound === 'object';
      resolve(isTcp ? grpcTarget({ ...address, port: bound.port }) : target);
    });
  });
}

type Transport = 'gRPC' | 'HTTP';

function explain(transport: Transport, target: string, reason: string): string {
  const key = `receivers.otlp.${transport.toLowerCase()}.address`;
  const advice = reason.includes('EADDRINUSE')
    ? `another process (a collector, another agent) is listening there; stop it, or set ${key}`
    : `set ${key} to an address of this machine, or to unix:/path`;
  return `OTLP/${transport} cannot listen on ${target}: ${reason}; ${advice}`;
}

async function makeRoom(transport: Transport, path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) {
    throw new OtlpListenError(
      `OTLP/${transport} cannot listen on unix:${path}: it exists and is no socket; choose another path`,
    );
  }
  if (await isAnswered(path)) {
    throw new OtlpListenError(
      `OTLP/${transport} cannot listen on unix:${path}: another process is listening there; stop it, or choose another path`,
    );
  }
  rmSync(path, { force: true });
}

/** Refused connections mean that the process that made the file is gone. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
