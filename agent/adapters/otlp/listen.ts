import { lstatSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { type Address, grpcTarget } from '../../rpc/address.ts';

/** An address that cannot be listened on, and what can be done about it. */
export class OtlpListenError extends Error {
  override name = 'OtlpListenError';
}

/** Binds and returns the address with the port that it got. A socket file that nobody answers on is replaced. */
export async function listenOn(server: Server, address: Address): Promise<string> {
  if (address.kind === 'unix') await makeRoom(address.path);
  const target = grpcTarget(address);
  return new Promise((resolve, reject) => {
    server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(new OtlpListenError(explain(target, error.message)));
      else resolve(address.kind === 'unix' ? target : grpcTarget({ ...address, port }));
    });
  });
}

function explain(target: string, reason: string): string {
  const advice = reason.includes('EADDRINUSE')
    ? 'another process (a collector, another agent) is listening there; stop it, or set receivers.otlp.grpc.address'
    : 'set receivers.otlp.grpc.address to an address of this machine, or to unix:/path';
  return `OTLP/gRPC cannot listen on ${target}: ${reason}; ${advice}`;
}

async function makeRoom(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) {
    throw new OtlpListenError(
      `OTLP/gRPC cannot listen on unix:${path}: it exists and is no socket; choose another path`,
    );
  }
  if (await isAnswered(path)) {
    throw new OtlpListenError(
      `OTLP/gRPC cannot listen on unix:${path}: another process is listening there; stop it, or choose another path`,
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
