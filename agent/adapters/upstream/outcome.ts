import type { Entry } from './queue.ts';

/** What became of one attempt to send a request on. */
export type Outcome =
  | {
      readonly state: 'delivered';
      /** Points, spans or log records in it that the upstream did not want (partial success). */
      readonly rejected: number;
      readonly message: string;
    }
  | {
      /** A later attempt may succeed. */
      readonly state: 'again';
      readonly why: string;
      /** The upstream asked for at least this long. */
      readonly afterMs?: number;
      /** It may have arrived although no answer came: the next attempt can make a duplicate. */
      readonly isUnclear: boolean;
    }
  | {
      /** The same request will never be taken. */
      readonly state: 'refused';
      /** A few words that name the kind, for a counter. */
      readonly reason: string;
      readonly why: string;
    };

/** The way to an upstream. */
export interface Transport {
  /** One attempt, given up after the timeout. Never rejects. */
  send(entry: Entry, via: string): Promise<Outcome>;
  close(): void;
}
