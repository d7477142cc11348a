/**
 * Splits the bytes of a page into numbered lines as they arrive. A line longer than `maxLineLength` is not kept: it is told
 * as `undefined`, and reading goes on behind it.
 */
export class LineSplitter {
  readonly #decoder = new TextDecoder('utf-8');
  readonly #maxLineLength: number;
  readonly #onLine: (line: string | undefined, number: number) => void;
  #rest = '';
  #isTooLong = false;
  #number = 0;

  constructor(maxLineLength: number, onLine: (line: string | undefined, number: number) => void) {
    this.#maxLineLength = maxLineLength;
    this.#onLine = onLine;
  }

  push(bytes: Uint8Array): void {
    this.#split(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The page has ended: what stands behind the last line feed is a line too. */
  end(): void {
    this.#split(this.#decoder.decode());
    if (this.#rest !== '' || this.#isTooLong) this.#tell('');
  }

  #split(text: string): void {
    let start = 0;
    for (let feed = text.indexOf('\n'); feed >= 0; feed = text.indexOf('\n', start)) {
      this.#tell(text.slice(start, feed));
      start = feed + 1;
    }
    this.#rest += text.slice(start);
    if (this.#rest.length > this.#maxLineLength) {
      this.#rest = '';
      this.#isTooLong = true;
    }
  }

  #tell(end: string): void {
    const line = this.#rest + end;
    const isTooLong = this.#isTooLong || line.length > this.#maxLineLength;
    this.#rest = '';
    this.#isTooLong = false;
    this.#number += 1;
    this.#onLine(isTooLong ? undefined : line, this.#number);
  }
}
