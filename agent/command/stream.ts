import { type ClientReadableStream, status } from '@grpc/grpc-js';
import { isServiceError } from '../rpc/calls.ts';
import { CommandError, EXIT, type Given, optionOf, type Shell } from './shell.ts';
import { printable } from './text.ts';

/** Takes what comes until `take` says that it was enough, or the user does. */
export async function follow<T>(
  stream: ClientReadableStream<T>,
  shell: Shell,
  take: (message: T) => 'more' | 'enough',
): Promise<void> {
  const stopListening = shell.onSignal(() => stream.cancel());
  try {
    const messages: AsyncIterable<T> = stream;
    for await (const message of messages) if (take(message) === 'enough') break;
  } catch (error) {
    // Ended by us.
    if (!isServiceError(error) || error.code !== status.CANCELLED) throw error;
  } finally {
    stopListening();
    stream.cancel();
  }
}

/** What `--count` says; without it there is no end. */
export function countOf(given: Given): number {
  const text = optionOf(given, 'count');
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new CommandError(`--count ${printable(text)}: allowed: a whole number above 0`, EXIT.usage);
}
