import type { Input } from '../../agent/core/model.ts';
import type { ClientMessage } from './client.ts';
import type { Channel } from './network.ts';
import { COMPONENT, type SimProcess } from './process.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

/** What the link needs of the world around it. */
export interface LinkEnds {
  readonly process: SimProcess;
  /** The epoch of the agent that runs; undefined while none does. */
  agentEpoch(): number | undefined;
  toEngine(input: Input): void;
  /** Lets the process reach this instant, act on its client, and say what it has to say. */
  withClient(atMs: number, act: () => void): void;
}

export interface LinkTimes {
  readonly heartbeatMs: number;
  /** The longest regular delay of a message. */
  readonly delayMs: number;
  /** The shortest. */
  readonly leastDelayMs: number;
  /** Share of messages that get lost. */
  readonly loss: number;
}

/**
 * The control channel: a session, opened by a manifest, closed when either end notices that the other is gone.
 *
 * Messages in it are delayed, lost, doubled and overtaken as the scenario says, which is harsher than the ordered stream it stands for.
 * A lost answer is noticed one heartbeat later by its gap in the sequence, and the process states in full what it holds
 * (CONTROL.md, resume); such a statement is never overtaken by what was said before or after it.
 */
export class ControlLink {
  readonly #schedule: Schedule;
  readonly #channel: Channel;
  readonly #random: Random;
  readonly #ends: LinkEnds;
  readonly #times: LinkTimes;
  /** Number of the session that both ends are in; 0: none. */
  #session = 0;
  #sessions = 0;
  #statementArrivesMs = 0;
  #lastArrivalMs = 0;

  constructor(schedule: Schedule, channel: Channel, random: Random, ends: LinkEnds, times: LinkTimes) {
    this.#schedule = schedule;
    this.#channel = channel;
    this.#random = random;
    this.#ends = ends;
    this.#times = times;
  }

  /** The process dials, with a growing pause, until an agent answers. */
  dial(attempt = 0): void {
    const { process } = this.#ends;
    const { incarnation } = process;
    const backoffMs = this.#random.between(50, Math.min(5_000, 200 * 2 ** attempt));
    this.#schedule.after(backoffMs, (atMs) => {
      if (!process.isAlive || process.incarnation !== incarnation || this.#session !== 0) return;
      const epoch = this.#ends.agentEpoch();
      if (this.#channel.isCut || epoch === undefined) {
        this.dial(attempt + 1);
        return;
      }
      this.#session = ++this.#sessions;
      this.#ends.withClient(atMs, () => process.client?.onWelcome(epoch, atMs));
      this.#state(this.#session);
    });
  }

  toAgent(message: ClientMessage): void {
    const session = this.#session;
    if (session === 0) return;
    const input: Input = { ...message, component: COMPONENT };
    if (input.kind === 'holding') {
      this.#holding(input, session);
      return;
    }
    const fate = this.#channel.fate();
    if (fate.length === 0) this.#noticeGap(session);
    for (const delayMs of fate) {
      const arrivesMs = Math.max(this.#schedule.nowMs + delayMs, this.#statementArrivesMs);
      this.#lastArrivalMs = Math.max(this.#lastArrivalMs, arrivesMs);
      this.#schedule.at(arrivesMs, () => {
        if (session === this.#session) this.#ends.toEngine(input);
      });
    }
  }

  /**
   * What is held, in answer to a renewal. It is true only in the order in which the process said it, as the stream keeps it: what could not
   * overtake nor be overtaken is lost here, and so is the share that the scenario says. The next renewal brings the next one.
   */
  #holding(input: Input, session: number): void {
    const arrivesMs = this.#schedule.nowMs + this.#times.leastDelayMs;
    if (this.#channel.isCut || arrivesMs < this.#lastArrivalMs || this.#random.chance(this.#times.loss)) return;
    this.#schedule.at(arrivesMs, () => {
      if (session === this.#session && !this.#channel.isCut) this.#ends.toEngine(input);
    });
  }

  toClient(arrive: (atMs: number) => void): void {
    const session = this.#session;
    if (session === 0) return;
    for (const delayMs of this.#channel.fate()) {
      this.#schedule.after(delayMs, (atMs) => {
        if (session === this.#session) arrive(atMs);
      });
    }
  }

  /** The process is gone: its agent notices a moment later. */
  processGone(): void {
    this.#end('the process is gone', 50);
  }

  /** The agent is gone: nobody is left to be told, and the process dials on. */
  agentGone(): void {
    this.#session = 0;
    // What the agent had under way to it is lost with it.
    this.#sessions++;
    this.#ends.process.client?.onParted(this.#schedule.nowMs);
    if (this.#ends.process.isAlive) this.dial();
  }

  /** Both directions are cut for so long; after three heartbeats without a word both ends give the session up. */
  cutFor(downMs: number): void {
    const session = this.#session;
    if (session === 0 || downMs <= 3 * this.#times.heartbeatMs) return;
    this.#schedule.after(3 * this.#times.heartbeatMs, () => {
      if (session === this.#session) this.#end('no heartbeat', 0);
    });
  }

  #end(reason: string, noticedAfterMs: number): void {
    if (this.#session === 0) return;
    this.#session = 0;
    this.#ends.process.client?.onParted(this.#schedule.nowMs);
    const opened = this.#sessions;
    this.#schedule.after(noticedAfterMs, () => {
      // A session that was opened meanwhile has replaced it, an agent that started meanwhile never knew it.
      if (opened !== this.#sessions) return;
      this.#ends.toEngine({ kind: 'session', event: 'closed', component: COMPONENT, reason });
    });
    if (this.#ends.process.isAlive) this.dial();
  }

  /** The process says in full what it holds. */
  #state(session: number): void {
    const nowMs = this.#schedule.nowMs;
    this.#ends.withClient(nowMs, () => {});
    const manifest = this.#ends.process.client?.manifest;
    if (manifest === undefined || session !== this.#session) return;
    this.#statementArrivesMs = Math.max(nowMs + this.#times.delayMs, this.#lastArrivalMs);
    this.#schedule.at(this.#statementArrivesMs, () => {
      if (session === this.#session) this.#ends.toEngine({ kind: 'session', event: 'opened', manifest });
    });
  }

  #noticeGap(session: number): void {
    this.#schedule.after(this.#times.heartbeatMs, () => {
      if (session !== this.#session) return;
      if (this.#channel.isCut) this.#noticeGap(session);
      else this.#state(session);
    });
  }
}
