import type { Command, Effect } from '../../../agent/core/model.ts';
import { Rule } from './rule.ts';

/** Epochs rise at every start, revisions within an epoch, and a command id means one command for ever. */
export class FenceChecker extends Rule {
  readonly rule = 'epoch and revision rise';
  readonly #commands = new Map<string, string>();
  #epoch = 0;
  #revision = 0;

  agentStarted(atMs: number, epoch: number): void {
    if (epoch <= this.#epoch) this.report(atMs, `epoch ${epoch} after ${this.#epoch}`);
    this.#epoch = epoch;
    this.#revision = 0;
    this.#commands.clear();
  }

  emitted(atMs: number, effect: Effect): void {
    if (effect.kind === 'command') this.#command(atMs, effect.command);
    if (effect.kind === 'revoke') this.#raise(atMs, effect.epoch, effect.revision, 'revoke');
    if (effect.kind === 'renewal' && (effect.epoch !== this.#epoch || effect.revision > this.#revision)) {
      this.report(
        atMs,
        `renewal of ${effect.epoch}/${effect.revision}, last sent was ${this.#epoch}/${this.#revision}`,
      );
    }
  }

  #command(atMs: number, command: Command): void {
    const content = JSON.stringify([command.epoch, command.revision, command.changes, command.atomicity]);
    const known = this.#commands.get(command.commandId);
    if (known === undefined) {
      this.#commands.set(command.commandId, content);
      this.#raise(atMs, command.epoch, command.revision, command.commandId);
    } else if (known !== content) {
      this.report(atMs, `${command.commandId} was ${known} and is now ${content}`);
    }
  }

  #raise(atMs: number, epoch: number, revision: number, what: string): void {
    if (epoch !== this.#epoch || revision <= this.#revision) {
      this.report(atMs, `${what} has ${epoch}/${revision} after ${this.#epoch}/${this.#revision}`);
    }
    this.#revision = Math.max(this.#revision, revision);
  }
}
