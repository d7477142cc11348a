import type { Kept, RawEncoding, TelemetrySignal } from './raw_sink.ts';

/** A request on its way. */
export interface Entry {
  /** Rises with the order of arrival. */
  readonly seq: number;
  readonly signal: TelemetrySignal;
  readonly encoding: RawEncoding;
  /** Agents that it came through; empty where it came from its process. */
  readonly via: string;
  readonly atMs: number;
  readonly body: Uint8Array;
  /** It was handed out before the agent was last killed, so the upstream may have it already. */
  readonly isRepeat: boolean;
}

export type NewEntry = Pick<Entry, 'signal' | 'encoding' | 'via' | 'atMs' | 'body'>;

export interface QueueLevel {
  readonly requests: number;
  readonly bytes: number;
}

/** Requests between their receipt and their delivery, in order, bounded: what does not fit pushes the oldest out. */
export interface Queue {
  open(): Promise<void>;
  put(entry: NewEntry): Kept | Promise<Kept>;
  /** The oldest of a signal, as soon as there are any; they stay until removed. Empty once closed. One call at a time. */
  take(signal: TelemetrySignal): Promise<readonly Entry[]>;
  /** Delivered, or given up. */
  remove(entry: Entry): void;
  level(signal: TelemetrySignal): QueueLevel;
  /** Lets nobody wait any more, and makes durable what can be. */
  close(deadline: AbortSignal): Promise<void>;
}

/** What happens inside a queue that somebody must hear of. */
export interface QueueObserver {
  /** Pushed out by newer ones. */
  dropped(signal: TelemetrySignal, requests: number): void;
  /** Acknowledged without being on the disk, because the disk refused. */
  unsaved(signal: TelemetrySignal): void;
  /** The disk refuses, with the reason; `undefined` when it takes writes again. */
  disk(problem: string | undefined): void;
}
