import type { ParseArgsOptionsConfig } from 'node:util';

/** What a command gets from the process around it; tests hand in their own. */
export interface Shell {
  /** After `perfopt`. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A line, or several, on standard output. */
  out(text: string): void;
  /** On standard error. */
  err(text: string): void;
  /** Whether standard output may have colours. */
  readonly hasColours: boolean;
  /** Calls back for every request to end; returns how to stop listening. */
  onSignal(handler: (signal: 'SIGINT' | 'SIGTERM') => void): () => void;
  /** Ends the process now. */
  exit(code: number): void;
  /** Makes this process an agent that was prepared so far, without what preparing took. Returns where that cannot be done. */
  readonly becomeAgent?: (prepared: string) => void;
  /** Asks a human a question that is answered by yes or no; absent where nobody is there to answer. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** Takes the whole terminal; absent where the output is none. */
  readonly screen?: () => Screen;
}

/** A terminal that frame after frame is drawn on. */
export interface Screen {
  readonly rows: number;
  readonly columns: number;
  /** Replaces what is shown. Lines are cut to the terminal by whoever made the frame. */
  draw(frame: string): void;
  onKey(handler: (key: string) => void): void;
  /** Gives the terminal back as it was. */
  close(): void;
}

/** Exit codes, as `perfopt help` lists them. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** One command of `perfopt`. */
export interface Command {
  readonly name: string;
  /** What follows the name, `FILE [--json]`. */
  readonly synopsis: string;
  /** One line in the list of commands. */
  readonly summary: string;
  /** More, for its own help. */
  readonly details?: readonly string[];
  readonly options: ParseArgsOptionsConfig;
  /** Least and most arguments that are not options. */
  readonly arguments: readonly [number, number];
  /** What an argument may be, where that is one of a few words; for completion. */
  readonly words?: readonly string[];
  /** The same for the values of options, by name. */
  readonly choices?: Readonly<Record<string, readonly string[]>>;
  run(given: Given, shell: Shell): Promise<number>;
}

/** What the user gave, checked against the command's options. */
export interface Given {
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
}

/** The user's mistake: printed without a stack, with exit code 2 when it is about usage. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: number;

  constructor(message: string, code: number = EXIT.failed) {
    super(message);
    this.code = code;
  }
}

/** The text of an option, where it was given. */
export function optionOf(given: Given, name: string): string | undefined {
  const value = given.values[name];
  return typeof value === 'string' ? value : undefined;
}

export function hasFlag(given: Given, name: string): boolean {
  return given.values[name] === true;
}
