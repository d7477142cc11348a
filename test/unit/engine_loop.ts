import { createEngine, type Engine, type SavedState } from '../../agent/core/engine.ts';
import type {
  Command,
  Decision,
  Effect,
  HeldKnob,
  KnobResult,
  KnobSpec,
  Manifest,
  NumericKnobSpec,
  OperatorAction,
  OptimizerEvent,
  Series,
  Tier,
} from '../../agent/core/model.ts';
import { SampleBatchBuilder } from '../../agent/core/series/batch.ts';
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from '../../agent/core/settings.ts';
import { Random } from '../../agent/core/tune/random.ts';
import type { Strategy } from '../../agent/core/tune/strategy.ts';

const BOUNDS_S = Array.from({ length: 70 }, (_, i) => 0.001 * 1.12 ** i);
const START_MS = 1_700_000_000_000;
const SECOND_MS = 1_000;

export interface LoopOptions {
  readonly settings?: Partial<EngineSettings>;
  readonly seed?: number;
  /** Absent: the engine's own. */
  readonly strategies?: readonly Strategy[];
  readonly tier?: Tier;
  readonly knobs?: readonly KnobSpec[];
  /** Mean latency in seconds at a setting. */
  readonly latencyS?: (setting: Record<string, number>) => number;
  /** Requests a second at an instant; absent: 100. */
  readonly requests?: (nowMs: number) => number;
  readonly errorRatio?: (setting: Record<string, number>) => number;
  /** What becomes of a command; absent: applied. */
  readonly answer?: (command: Command) => readonly KnobResult[] | undefined;
}

export function intKnob(id: string, more: Partial<NumericKnobSpec> = {}): NumericKnobSpec {
  return {
    id,
    description: '',
    unit: '1',
    role: 'batch',
    applyClass: 'hot',
    settleMs: 1_000,
    ceilingAtBoot: false,
    type: 'int',
    min: 1,
    max: 64,
    scale: 'log',
    baseline: 1,
    ...more,
  };
}

/** One component under an engine in virtual time: a process that obeys, and one hundred requests a second. */
export class Loop {
  readonly decisions: Decision[] = [];
  readonly events: OptimizerEvent[] = [];
  readonly effects: Effect[] = [];
  readonly commands: Command[] = [];
  readonly setting: Record<string, number>;
  engine: Engine;
  nowMs = START_MS;
  silent = false;
  readonly #options: LoopOptions;
  readonly #settings: EngineSettings;
  readonly #random: Random;
  readonly #knobs: readonly KnobSpec[];
  readonly #series: Record<'ok' | 'failed', Series>;
  #epoch = 1;
  #requests = 0;

  constructor(options: LoopOptions = {}) {
    this.#options = options;
    this.#settings = { ...DEFAULT_ENGINE_SETTINGS, ...options.settings };
    this.#random = Random.seeded(options.seed ?? 1);
    this.#knobs = options.knobs ?? [intKnob('batch')];
    this.setting = Object.fromEntries(this.#knobs.map((knob) => [knob.id, Number(knob.baseline)]));
    const { seed = 1, strategies } = options;
    const own = strategies === undefined ? {} : { strategies };
    this.engine = createEngine({ settings: this.#settings, seed, epoch: this.#epoch, ...own });
    this.#series = { ok: series(0, 200), failed: series(1, 503) };
  }

  manifest(held: readonly HeldKnob[] = [], incarnation = 1): Manifest {
    return {
      component: 'c',
      tier: this.#options.tier ?? 'research',
      instanceUid: 'c-1',
      incarnation,
      resource: {},
      knobs: this.#knobs,
      held,
    };
  }

  open(held: readonly HeldKnob[] = [], incarnation = 1): this {
    this.perform(
      this.engine.step(this.nowMs, { kind: 'session', event: 'opened', manifest: this.manifest(held, incarnation) }),
    );
    return this;
  }

  /** The agent is killed: what comes after knows what was saved with the last decision, and nothing else. */
  restart(saved: SavedState): void {
    this.#epoch++;
    this.engine = createEngine({
      settings: this.#settings,
      seed: 99,
      epoch: this.#epoch,
      saved: JSON.parse(JSON.stringify(saved)),
    });
  }

  operator(action: OperatorAction & { readonly dryRun?: boolean }): {
    ok: boolean;
    message: string;
    proposalId?: string;
  } {
    const requestId = `r${++this.#requests}`;
    const effects = this.engine.step(this.nowMs, { kind: 'operator', request: { requestId, by: 'eve', ...action } });
    this.perform(effects);
    const reply = effects.find((effect) => effect.kind === 'reply' && effect.requestId === requestId);
    if (reply?.kind !== 'reply') throw new Error('an operator got no reply');
    const { ok, message, proposalId } = reply;
    return { ok, message, ...(proposalId !== undefined && { proposalId }) };
  }

  run(seconds: number, until: (decision: Decision) => boolean = () => false): Decision | undefined {
    const from = this.decisions.length;
    for (let second = 0; second < seconds; second++) {
      this.second();
      const found = this.decisions.slice(from).find(until);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  kinds(): readonly Decision['kind'][] {
    return this.decisions.map(({ kind }) => kind);
  }

  second(): void {
    this.nowMs += SECOND_MS;
    if (!this.silent) this.#report();
    this.perform(this.engine.step(this.nowMs, { kind: 'tick' }));
  }

  perform(effects: readonly Effect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind === 'decision') this.decisions.push(effect.decision);
      if (effect.kind === 'event') this.events.push(effect.event);
      if (effect.kind === 'command') this.#obey(effect.command);
      if (effect.kind === 'revoke') {
        for (const knob of this.#knobs) this.setting[knob.id] = Number(knob.baseline);
      }
    }
  }

  #obey(command: Command): void {
    this.commands.push(command);
    const { answer } = this.#options;
    const results = answer === undefined ? applied(command) : answer(command);
    if (results === undefined) return;
    for (const { knob, effectiveValue } of results) this.setting[knob] = Number(effectiveValue);
    const { commandId, component } = command;
    this.perform(this.engine.step(this.nowMs, { kind: 'result', component, commandId, results }));
  }

  #report(): void {
    const { latencyS = () => 0.05, errorRatio = () => 0, requests = () => 100 } = this.#options;
    const count = requests(this.nowMs);
    const noise = 1 + 0.1 * (this.#random.next() - 0.5);
    const mean = latencyS(this.setting) * noise;
    const failed = Math.round(count * errorRatio(this.setting));
    const builder = new SampleBatchBuilder();
    const start = this.nowMs - SECOND_MS;
    builder.histogramOverMs(this.#series.ok, start, this.nowMs, histogram(mean, count - failed));
    if (failed > 0) builder.histogramOverMs(this.#series.failed, start, this.nowMs, histogram(mean, failed));
    this.perform(this.engine.step(this.nowMs, { kind: 'samples', batch: builder.build() }));
  }
}

export function applied(command: Command): readonly KnobResult[] {
  return command.changes.map(({ knob, value }) => ({
    knob,
    state: 'applied',
    effectiveValue: value,
    attemptedRevision: command.revision,
    effectiveRevision: command.revision,
  }));
}

function histogram(mean: number, count: number) {
  const counts = new Array<number>(BOUNDS_S.length + 1).fill(0);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const value = mean * (0.6 + (0.8 * (i + 0.5)) / count);
    sum += value;
    const bucket = BOUNDS_S.findIndex((bound) => value <= bound);
    counts[bucket === -1 ? BOUNDS_S.length : bucket] += 1;
  }
  return { count, sum, bounds: BOUNDS_S, counts };
}

function series(id: number, status: number): Series {
  return {
    id,
    name: 'http.server.request.duration',
    unit: 's',
    kind: 'histogram',
    temporality: 'delta',
    monotonic: true,
    scope: '',
    resource: new Map([['service.name', 'c']]),
    attributes: new Map([['http.response.status_code', status]]),
  };
}
