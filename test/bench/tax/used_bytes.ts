import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** On the heap and beside it, after all that nobody holds is gone. */
export function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
