/**
 * What the machine and gRPC take by themselves: a stream in both directions over a Unix socket of its own, whose client
 * sends back each message as it came. Two processes and no agent. Told how many, it answers with how long each one took.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Client, credentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';

/** About as long as a command, and its result. */
const MESSAGE = Buffer.alloc(130, 7);
const METHOD = {
  ...{ path: '/bench.Echo/Connect', requestStream: true, responseStream: true },
  ...{ requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
} as const;

/** A message of the parent to this process: so many round trips, with a pause before each. */
export interface EchoOrder {
  readonly count: number;
  readonly pauseMs: number;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

const [role = '', target = ''] = process.argv.slice(2);
if (role === 'client') {
  const client = new Client(target, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest(METHOD.path, asIs, asIs);
  stream.on('data', (message: Buffer) => stream.write(message));
  stream.on('error', () => process.exit());
  stream.write(MESSAGE);
  process.on('disconnect', () => process.exit());
} else {
  const folder = mkdtempSync(join(tmpdir(), 'perfopt-bench-echo-'));
  const address = `unix:${join(folder, 's')}`;
  const server = new Server();
  let back = (): void => {};
  const echo = await new Promise<ServerDuplexStream<Buffer, Buffer>>((resolve, reject) => {
    server.addService(
      { connect: METHOD },
      {
        connect: (call: ServerDuplexStream<Buffer, Buffer>) => {
          call.on('data', () => back());
          resolve(call);
        },
      },
    );
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else fork(import.meta.filename, ['client', address]);
    });
  });
  process.on('disconnect', () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit();
  });
  process.on('message', async ({ count, pauseMs }: EchoOrder) => {
    const timesMs: number[] = [];
    for (let i = 0; i < count; i++) {
      await wait(pauseMs);
      const isBack = new Promise<void>((resolve) => {
        back = resolve;
      });
      const startedMs = performance.now();
      echo.write(MESSAGE);
      await isBack;
      timesMs.push(performance.now() - startedMs);
    }
    process.send?.(timesMs);
  });
  process.send?.('ready');
}
