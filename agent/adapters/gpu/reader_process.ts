/**
 * Reads GPUs, in a process of its own: a call into a GPU driver may never come back, and may take the process down.
 *
 * Not a worker thread: one that is stuck in native code cannot be terminated, and the agent could then not even exit,
 * because Node waits for its threads (measured, as for reads in libuv's pool). A process can be left behind.
 */
import { AmdDevices } from './amd_devices.ts';
import { NvmlDevices } from './nvml_devices.ts';
import type { Answer } from './reading.ts';

/** What to read; asked for the first time, it is opened. Always the same for one process. */
export type Subject =
  | { readonly kind: 'nvml'; readonly library: string }
  | { readonly kind: 'amd'; readonly root: string };

const answer = process.send?.bind(process);
if (answer === undefined) throw new Error('reader_process.ts runs as a child process only');

let devices: { read(): Answer | Promise<Answer> } | undefined;
process.on('message', async (subject: Subject) => {
  devices ??= subject.kind === 'nvml' ? new NvmlDevices(subject.library) : new AmdDevices(subject.root);
  try {
    answer(await devices.read());
  } catch (error) {
    answer({ state: 'failed', reason: error instanceof Error ? error.message : String(error) });
  }
});
// Without the agent there is nobody to read for. Also where the driver's own threads would keep the process.
process.on('disconnect', () => process.exit());
