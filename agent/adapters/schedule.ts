import { createTask, type ScheduledTask } from 'node-cron';
import type { Logger } from 'pino';

export interface Job {
  readonly name: string;
  /** Five fields, or six with seconds first; local time. */
  readonly cron: string;
  readonly run: () => void | Promise<void>;
}

export interface Schedule {
  start(): Promise<void>;
  /** Starts nothing more, and waits for what is running until the deadline. */
  stop(deadline: AbortSignal): Promise<void>;
}

/** Runs jobs at their times. A job that fails is logged and runs again next time; one that is still running is not started twice. */
export function createSchedule(jobs: readonly Job[], log: Logger): Schedule {
  const running = new Set<Promise<void>>();
  const tasks: ScheduledTask[] = [];

  const runLogged = async (job: Job): Promise<void> => {
    try {
      await job.run();
    } catch (error) {
      log.error({ err: error, job: job.name }, 'a scheduled job failed; it runs again at its next time');
    }
  };

  return {
    async start() {
      for (const job of jobs) {
        const task = createTask(
          job.cron,
          () => {
            const run = runLogged(job).finally(() => running.delete(run));
            running.add(run);
            return run;
          },
          { name: job.name, noOverlap: true, unref: true, logger: quietLogger(log, job.name) },
        );
        tasks.push(task);
        await task.start();
      }
    },

    async stop(deadline) {
      for (const task of tasks.splice(0)) await task.destroy();
      if (deadline.aborted || running.size === 0) return;
      const { promise: over, resolve } = Promise.withResolvers<void>();
      const onAbort = (): void => resolve();
      deadline.addEventListener('abort', onAbort, { once: true });
      await Promise.race([Promise.all(running), over]);
      deadline.removeEventListener('abort', onAbort);
    },
  };
}

/** What node-cron itself has to say (a missed time, an overlap), in our log. */
function quietLogger(log: Logger, job: string) {
  return {
    info: (message: string) => log.debug({ job }, message),
    debug: (message: string | Error) => log.trace({ job }, String(message)),
    warn: (message: string) => log.warn({ job }, message),
    error: (message: string | Error) => log.error({ job }, String(message)),
  };
}
