import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';

export interface LogOptions {
  readonly level: string;
  readonly version: string;
  /** Standard error unless told otherwise: standard output is for what a command prints. */
  readonly sink?: DestinationStream;
}

/** Anything that lets somebody in, wherever it stands in a record. */
const SECRETS = ['token', 'authorization', 'password', 'secret', 'apiKey', 'cookie'];

/** One JSON object a line, with the level as a word and the time in ISO 8601. */
export function createLog({ level, version, sink }: LogOptions): Logger {
  return pino(
    {
      level,
      base: { service: 'performance-optimizer', version, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: '[redacted]',
      },
    },
    // Synchronous: the last lines before a crash are the ones that matter.
    sink ?? destination({ fd: 2, sync: true }),
  );
}
