import type { RawEncoding, TelemetrySignal } from './raw_sink.ts';

/** What the thread that owns the file is told when it starts. */
export interface DiskOptions {
  readonly path: string;
  readonly maxBytes: number;
  /** Names a corrupt file that is set aside. */
  readonly nowMs: number;
}

/** One transaction. Bodies lie one after another in `blob`. */
export interface Turn {
  readonly removals: readonly number[];
  readonly inserts: readonly InsertRow[];
  readonly blob: Uint8Array<ArrayBuffer>;
  /** Signals of which the oldest requests are wanted that were not handed out yet, those just inserted included. */
  readonly wants: readonly TelemetrySignal[];
}

export interface InsertRow {
  readonly signal: TelemetrySignal;
  readonly encoding: RawEncoding;
  readonly via: string;
  readonly atMs: number;
  readonly bytes: number;
}

export interface FoundRow extends InsertRow {
  readonly seq: number;
  readonly isRepeat: boolean;
}

export type Levels = Readonly<Record<TelemetrySignal, { readonly requests: number; readonly bytes: number }>>;

export interface TurnResult {
  readonly found: readonly FoundRow[];
  readonly blob: Uint8Array<ArrayBuffer>;
  /** Pushed out, by signal. */
  readonly evicted: Readonly<Record<TelemetrySignal, number>>;
  readonly levels: Levels;
}

export type FromDisk =
  | { readonly kind: 'opened'; readonly levels: Levels; readonly setAside?: string }
  | { readonly kind: 'unusable'; readonly message: string }
  | { readonly kind: 'done'; readonly result: TurnResult }
  /** The turn was not carried out, none of it. */
  | { readonly kind: 'failed'; readonly message: string };

export type ToDisk = { readonly kind: 'turn'; readonly turn: Turn } | { readonly kind: 'close' };
