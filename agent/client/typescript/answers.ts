import type { KnobResult } from '../../core/model.ts';

/** A replay older than that is behind the fence anyway. */
const MAX_ANSWERS = 64;

/** What was answered to commands: a command that comes again is answered from here, and not applied again. */
export class Answers {
  readonly #answers = new Map<string, readonly KnobResult[]>();

  get(commandId: string): readonly KnobResult[] | undefined {
    return this.#answers.get(commandId);
  }

  set(commandId: string, results: readonly KnobResult[]): void {
    this.#answers.set(commandId, results);
    if (this.#answers.size <= MAX_ANSWERS) return;
    const [oldest] = this.#answers.keys();
    if (oldest !== undefined) this.#answers.delete(oldest);
  }

  /** A replay must not be told that a value is in force which no longer is. */
  amend(commandId: string, news: readonly KnobResult[]): void {
    const answer = this.#answers.get(commandId);
    if (!answer) return;
    const byKnob = new Map(news.map((result) => [result.knob, result]));
    this.#answers.set(
      commandId,
      answer.map((old) => byKnob.get(old.knob) ?? old),
    );
  }
}
