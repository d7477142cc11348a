import { parentPort, workerData } from 'node:worker_threads';
import type { DiskOptions, FromDisk, ToDisk } from './disk_protocol.ts';
import { DiskStore } from './disk_store.ts';

// The thread that owns the queue's file: what the disk takes its time for never stops the agent's own loop.

const port = parentPort;
if (port === null) throw new Error('this file is a worker thread');
const say = (message: FromDisk, blob?: ArrayBuffer): void =>
  port.postMessage(message, blob === undefined ? [] : [blob]);
const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const options: DiskOptions = workerData;
let store: DiskStore | undefined;
try {
  store = DiskStore.open(options);
  const { levels, setAside } = store;
  say({ kind: 'opened', levels, ...(setAside !== undefined && { setAside }) });
} catch (error) {
  say({ kind: 'unusable', message: wordsOf(error) });
  port.close();
}

port.on('message', (message: ToDisk) => {
  if (message.kind === 'close') {
    try {
      store?.close();
    } finally {
      port.close();
    }
    return;
  }
  if (store === undefined) return;
  try {
    const result = store.turn(message.turn);
    say({ kind: 'done', result }, result.blob.buffer);
  } catch (error) {
    say({ kind: 'failed', message: wordsOf(error) });
  }
});
