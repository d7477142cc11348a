import type { Decision, Effect, Input, OperatorRequest, Setting } from '../../agent/core/model.ts';
import type { EngineSettings } from '../../agent/core/settings.ts';
import { SimAgent } from './agent.ts';
import type { ClientFactory } from './client.ts';
import { modelClient } from './client_model.ts';
import { type Account, Ledger } from './ledger.ts';
import { ControlLink } from './link.ts';
import { Channel, type Fate } from './network.ts';
import { SimOperator } from './operator.ts';
import { createPlant } from './plant/create.ts';
import { findOracle, type Oracle } from './plant/oracle.ts';
import { COMPONENT, SimProcess } from './process.ts';
import { Random, seedFor } from './random.ts';
import type { Scenario } from './scenario.ts';
import { Schedule } from './schedule.ts';
import type { Belief, EngineFactory } from './seam.ts';

/** Where virtual time begins: any instant will do, but zero would mean "unknown" to OTLP. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);

export interface WorldOptions {
  readonly scenario: Scenario;
  readonly settings: EngineSettings;
  readonly createEngine: EngineFactory;
  readonly seed: number;
  readonly runMs: number;
  readonly oracle?: Oracle;
  /** The client's model unless said otherwise. */
  readonly newClient?: ClientFactory;
  readonly watchers?: readonly Watcher[];
  /** Belief is compared with fact at every n-th tick (asking costs the engine more than a tick does). */
  readonly compareEveryTicks?: number;
}

/** Sees everything. All instants are milliseconds of the run. */
export interface Watcher {
  /** The engine emitted it, in this order; whether it got anywhere is another matter. */
  emitted?(atMs: number, effect: Effect): void;
  /** A decision is on disk. */
  decided?(atMs: number, decision: Decision): void;
  /** The process now runs with this setting. */
  setting?(atMs: number, setting: Setting): void;
  /** A tick is over: what the engine believes against what is. `actual` is undefined while the process is down. */
  ticked?(atMs: number, belief: Belief | undefined, actual: Setting | undefined): void;
  /** A value's lease was given or renewed at the process. */
  leased?(atMs: number): void;
  /** Somebody asked for something, this came of it, and this is what the engine believes now. */
  asked?(atMs: number, request: OperatorRequest, effects: readonly Effect[], belief: Belief | undefined): void;
  agentStarted?(atMs: number, epoch: number): void;
  agentKilled?(atMs: number): void;
  finished?(atMs: number): void;
}

export interface WorldResult {
  readonly account: Account;
  readonly decisions: readonly Decision[];
  readonly steps: number;
  readonly processStarts: number;
  readonly agentStarts: number;
  readonly messages: { readonly sent: number; readonly lost: number; readonly duplicated: number };
}

/**
 * One component, its agent and what lies between, as discrete events in virtual time: the process with its plant, client and
 * exporter; the agent with its engine and disk; telemetry one way, the control link both ways; and whatever goes wrong.
 */
export class World {
  readonly #options: WorldOptions;
  readonly #schedule = new Schedule();
  readonly #telemetry: Channel;
  readonly #control: Channel;
  readonly #process: SimProcess;
  readonly #agent: SimAgent;
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #watchers: readonly Watcher[];
  readonly #decisions: Decision[] = [];
  readonly #link: ControlLink;
  #agentLife = 0;
  #wakesMs = Number.NaN;
  #isCut = false;
  #agentStarts = 0;
  #ticks = 0;
  #clockOffsetMs = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    const { scenario, seed, runMs, settings } = options;
    const plant = createPlant(scenario, runMs, seed);
    this.#ledger = new Ledger(scenario, plant, options.oracle ?? findOracle(scenario, runMs));
    this.#random = new Random(seedFor(seed, 'world'));
    this.#telemetry = new Channel(scenario.faults.telemetry, new Random(seedFor(seed, 'telemetry')));
    this.#control = new Channel(scenario.faults.control, new Random(seedFor(seed, 'control')));
    this.#watchers = options.watchers ?? [];
    // One machine, one wall clock: process and agent read the same.
    const wallMs = (atMs: number) => EPOCH_MS + atMs + this.#clockOffsetMs;
    this.#process = new SimProcess(
      scenario,
      plant,
      this.#ledger,
      options.newClient ?? modelClient,
      seed,
      wallMs,
      (atMs, setting) => {
        for (const watcher of this.#watchers) watcher.setting?.(atMs, setting);
      },
    );
    const ends = {
      process: this.#process,
      agentEpoch: () => (this.#agent.engine === undefined ? undefined : this.#agent.epoch),
      toEngine: (input: Input) => this.#step(input),
      withClient: (atMs: number, act: () => void) => this.#withClient(atMs, act),
    };
    const { delayMs, loss } = scenario.faults.control;
    const [leastDelayMs, mostDelayMs] = delayMs;
    const times = { heartbeatMs: settings.lease.ttlMs / 3, delayMs: mostDelayMs, leastDelayMs, loss };
    this.#link = new ControlLink(this.#schedule, this.#control, new Random(seedFor(seed, 'link')), ends, times);
    const port = {
      durable: ({ decision }: Effect & { kind: 'decision' }) => {
        this.#decisions.push(decision);
        for (const watcher of this.#watchers) watcher.decided?.(this.#schedule.nowMs, decision);
      },
      send: (effect: Effect) => this.#carryOut(effect),
    };
    const engineSeed = seedFor(seed, 'engine');
    const agentRandom = new Random(seedFor(seed, 'agent'));
    this.#agent = new SimAgent(options.createEngine, settings, engineSeed, agentRandom, port);
  }

  /** True excess of a setting over another, in log units. */
  excess(setting: Setting, over: Setting, atMs: number): number {
    return this.#ledger.excess(setting, over, atMs);
  }

  run(): WorldResult {
    this.#begin();
    this.#schedule.runUntil(this.#options.runMs);
    return this.#end();
  }

  /** For clients that need promises: the code that ships. */
  async runAsync(): Promise<WorldResult> {
    this.#begin();
    const isBusy = () => this.#process.client?.takeBusy() ?? false;
    await this.#schedule.runUntilAsync(this.#options.runMs, isBusy, (atMs) => this.#withClient(atMs, () => {}));
    return this.#end();
  }

  #begin(): void {
    const { scenario } = this.#options;
    const schedule = this.#schedule;
    this.#startProcess(0);
    this.#startAgent();
    const { intervalMs } = scenario.telemetry;
    schedule.every(intervalMs * this.#random.between(0.5, 1.5), intervalMs, (atMs) => this.#export(atMs));
    const { process, agent, partitions, clock, operator } = scenario.faults;
    if (process) this.#recurring(process.meanTimeBetweenMs, () => this.#killProcess());
    if (agent) this.#recurring(agent.meanTimeBetweenMs, () => this.#killAgent());
    if (partitions) this.#recurring(partitions.meanTimeBetweenMs, () => this.#cut(partitions.downMs));
    if (operator) {
      const who = new SimOperator(scenario, new Random(seedFor(this.#options.seed, 'operator')));
      this.#recurring(operator.meanTimeBetweenMs, () => this.#ask(who));
    }
    if (clock) {
      this.#recurring(clock.meanTimeBetweenMs, () => {
        this.#clockOffsetMs += this.#random.between(clock.jumpMs[0], clock.jumpMs[1]);
      });
    }
  }

  #end(): WorldResult {
    const { runMs } = this.#options;
    this.#process.runTo(runMs);
    for (const watcher of this.#watchers) watcher.finished?.(runMs);
    return {
      account: this.#ledger.close(),
      decisions: this.#decisions,
      steps: this.#agent.steps,
      processStarts: this.#process.incarnation,
      agentStarts: this.#agentStarts,
      messages: {
        sent: this.#telemetry.sentTotal + this.#control.sentTotal,
        lost: this.#telemetry.lostTotal + this.#control.lostTotal,
        duplicated: this.#telemetry.duplicatedTotal + this.#control.duplicatedTotal,
      },
    };
  }

  // ---- the process

  #startProcess(atMs: number): void {
    this.#process.start(atMs);
    this.#link.dial();
  }

  #export(atMs: number): boolean {
    const wasAlive = this.#process.isAlive;
    const batch = this.#process.export(atMs);
    if (wasAlive && !this.#process.isAlive) this.#processGone();
    if (batch !== undefined) {
      const life = this.#agentLife;
      this.#deliver(this.#telemetry.fate(), () => {
        if (life === this.#agentLife) this.#step({ kind: 'samples', batch });
      });
    }
    return true;
  }

  #killProcess(): void {
    if (!this.#process.isAlive) return;
    this.#process.die(this.#schedule.nowMs);
    this.#processGone();
  }

  #processGone(): void {
    this.#link.processGone();
    const [low, high] = this.#options.scenario.faults.process?.downMs ?? [1, 1];
    const downMs = this.#options.scenario.restartMs * this.#random.between(low, high);
    this.#schedule.after(downMs, (atMs) => this.#startProcess(atMs));
  }

  /** Lets the client do what is due, gives the plant its values, and sends what the client has to say. */
  #withClient(atMs: number, act: () => void): void {
    const wasAlive = this.#process.isAlive;
    this.#process.runTo(atMs);
    if (wasAlive && !this.#process.isAlive) this.#processGone();
    if (!this.#process.isAlive) return;
    act();
    this.#process.client?.advance(atMs);
    this.#process.adopt(atMs);
    this.#speak();
    this.#wakeClient();
  }

  /** A pending application or a lease that runs out happens by itself, at its own time. */
  #wakeClient(): void {
    const nextMs = this.#process.client?.nextMs ?? Number.POSITIVE_INFINITY;
    if (nextMs === Number.POSITIVE_INFINITY || nextMs === this.#wakesMs) return;
    this.#wakesMs = nextMs;
    this.#schedule.at(nextMs, (atMs) => {
      if (this.#wakesMs === atMs) this.#withClient(atMs, () => {});
    });
  }

  #speak(): void {
    for (const message of this.#process.client?.takeMessages() ?? []) this.#link.toAgent(message);
  }

  #cut([low, high]: readonly [number, number]): void {
    if (this.#isCut) return;
    const downMs = this.#random.between(low, high);
    this.#setCut(true);
    this.#link.cutFor(downMs);
    this.#schedule.after(downMs, () => this.#setCut(false));
  }

  #setCut(isCut: boolean): void {
    this.#isCut = isCut;
    this.#telemetry.isCut = isCut;
    this.#control.isCut = isCut;
  }

  // ---- the agent

  #startAgent(): void {
    this.#agentLife++;
    this.#agentStarts++;
    const life = this.#agentLife;
    this.#process.agentChanged();
    this.#agent.start();
    for (const watcher of this.#watchers) watcher.agentStarted?.(this.#schedule.nowMs, this.#agent.epoch);
    const { tickMs } = this.#options.settings;
    this.#schedule.every(this.#schedule.nowMs + tickMs, tickMs, (atMs) => {
      if (life !== this.#agentLife) return false;
      this.#step({ kind: 'tick' });
      if (life !== this.#agentLife) return false;
      if (++this.#ticks % (this.#options.compareEveryTicks ?? 1) !== 0) return true;
      this.#withClient(atMs, () => {});
      const belief = this.#agent.engine?.belief(COMPONENT);
      for (const watcher of this.#watchers) watcher.ticked?.(atMs, belief, this.#process.client?.setting);
      return true;
    });
  }

  #killAgent(): void {
    if (this.#agent.engine === undefined) return;
    if (this.#random.chance(0.5)) this.#agent.killAmongEffects();
    else {
      this.#agent.kill();
      this.#agentGone();
    }
  }

  #agentGone(): void {
    this.#agentLife++;
    for (const watcher of this.#watchers) watcher.agentKilled?.(this.#schedule.nowMs);
    this.#link.agentGone();
    const [low, high] = this.#options.scenario.faults.agent?.downMs ?? [1_000, 1_000];
    this.#schedule.after(this.#random.between(low, high), () => this.#startAgent());
  }

  #step(input: Input): void {
    if (this.#agent.engine === undefined) return;
    const survived = this.#agent.step(Math.floor(EPOCH_MS + this.#schedule.nowMs + this.#clockOffsetMs), input);
    if (!survived) this.#agentGone();
  }

  #ask(operator: SimOperator): void {
    const { engine } = this.#agent;
    if (engine === undefined) return;
    const request = operator.next(engine.belief(COMPONENT));
    this.#step({ kind: 'operator', request });
    // Whoever is killed over a request owes no answer.
    if (this.#agent.engine !== engine) return;
    const { lastEffects } = this.#agent;
    for (const watcher of this.#watchers) {
      watcher.asked?.(this.#schedule.nowMs, request, lastEffects, engine.belief(COMPONENT));
    }
  }

  #carryOut(effect: Effect): void {
    for (const watcher of this.#watchers) watcher.emitted?.(this.#schedule.nowMs, effect);
    if (effect.kind === 'command') {
      this.#toClient((nowMs) => this.#process.client?.onCommand(effect.command, nowMs));
    } else if (effect.kind === 'renewal') {
      const { epoch, revision, leaseTtlMs } = effect;
      this.#toClient((nowMs) => this.#process.client?.onRenewal(epoch, revision, leaseTtlMs, nowMs));
    } else if (effect.kind === 'revoke') {
      const { epoch, revision, knobs } = effect;
      this.#toClient((nowMs) => this.#process.client?.onRevoke(epoch, revision, knobs, nowMs));
    }
  }

  #toClient(act: (nowMs: number) => void): void {
    this.#link.toClient((nowMs) => {
      this.#withClient(nowMs, () => act(nowMs));
      for (const watcher of this.#watchers) watcher.leased?.(nowMs);
    });
  }

  // ---- chance and time

  #deliver(fate: Fate, run: () => void): void {
    for (const delayMs of fate) this.#schedule.after(delayMs, run);
  }

  #recurring(meanMs: number, happen: () => void): void {
    this.#schedule.after(this.#random.exponential(meanMs), () => {
      happen();
      this.#recurring(meanMs, happen);
    });
  }
}
