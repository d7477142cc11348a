import type { QuietReason } from '../detect/quiet-time.ts';
import { SETTLE_MS } from '../detect/quiet-time.ts';
import type { Decision, DecisionKind, Effect, Manifest, OperatorRequest, Series, WatchAction } from '../model.ts';
import { attributeText } from '../outcome.ts';
import { isWatchedSignal, WATCHED_SIGNALS } from '../profile/watched_signal.ts';
import type { ProfileStore } from '../profile.ts';
import { eventOf, HOST_COMPONENT, type ObservedAnomaly } from './finding.ts';
import { InsightStore, type InsightStoreOptions } from './insight-store.ts';

export interface LookoutOptions extends InsightStoreOptions {
  readonly decisionId: () => string;
  readonly saved?: LookoutState;
}

/** What operators asked for; small, and saved with every decision. */
export interface LookoutState {
  readonly silences: readonly Silence[];
  readonly acknowledged: readonly { readonly component: string; readonly metric: string; readonly by: string }[];
}

interface Silence {
  readonly component: string;
  /** `*`: all of the component's. */
  readonly metric: string;
  readonly untilMs: number;
}

/** After a command metrics move for this long because of it; the next command of a trial comes before that. */
const OWN_CHANGE_MS = 180_000;
/** Silences kept; a year is the longest. */
const MOST_SILENCES = 1_000;
const LONGEST_SILENCE_MS = 365 * 86_400_000;
/** Instances of one component remembered; beyond, all but the newest are forgotten. */
const MOST_INSTANCES = 1_000;
/** An absence shorter than this leaves nothing to explain. */
const AWAY_MS = 300_000;

type Answer = Effect & { readonly kind: 'reply' };

/**
 * What insights mean for the agent: what is told as an event, what has a known cause (a restart, a new version, the
 * tuner's own change), which component is left alone while an anomaly is open, and what operators do not want to hear.
 */
export class Lookout {
  readonly store: InsightStore;
  readonly #decisionId: () => string;
  /** Of each component, the anomaly because of which nothing is tried, and whether a decision has said so. */
  readonly #paused = new Map<string, { readonly anomaly: ObservedAnomaly; readonly isTold: boolean }>();
  readonly #versions = new Map<string, string>();
  readonly #incarnations = new Map<string, number>();
  readonly #instances = new Map<string, Set<string>>();
  readonly #resources = new WeakSet<object>();
  #latestResource: object | undefined;
  #silences: readonly Silence[];
  #acknowledged: LookoutState['acknowledged'];
  #tickMs: number | undefined;

  constructor(options: LookoutOptions) {
    this.store = new InsightStore(options);
    this.#decisionId = options.decisionId;
    this.#silences = options.saved?.silences ?? [];
    this.#acknowledged = options.saved?.acknowledged ?? [];
  }

  tick(nowMs: number, profiles: ProfileStore): readonly Effect[] {
    const passedMs = nowMs - (this.#tickMs ?? nowMs);
    this.#tickMs = nowMs;
    if (passedMs < 0 || passedMs > AWAY_MS) this.store.resume(nowMs);
    this.#silences = this.#silences.filter(({ untilMs }) => untilMs > nowMs);
    return this.store.tick(nowMs, profiles).flatMap((insight): readonly Effect[] => {
      if (insight.kind === 'anomaly_resolved') this.#forget(insight.anomaly);
      const isHushed = insight.kind === 'anomaly_detected' && this.#isSilenced(insight.anomaly, nowMs);
      return isHushed ? [] : [{ kind: 'event', event: eventOf(insight, nowMs) }];
    });
  }

  /**
   * Why nothing may be tried with this component now, with a decision when that begins and when it ends. `began`: what is
   * open must be ended.
   */
  pause(
    component: string,
    isConnected: boolean,
    nowMs: number,
  ): { readonly reason?: string; readonly began: boolean; readonly effects: readonly Effect[] } {
    const before = this.#paused.get(component);
    const found = this.store.disturbance(component, (anomaly) => !this.#isSilenced(anomaly, nowMs));
    if (found === undefined) {
      if (before === undefined) return { began: false, effects: [] };
      this.#paused.delete(component);
      const reason = `the anomaly of ${before.anomaly.metric} is over: changes may be tried again`;
      return { began: false, effects: before.isTold ? this.#decided(component, 'resumed', reason, nowMs) : [] };
    }
    const where = found.component === component ? '' : 'the machine: ';
    const reason = `nothing is tried while an anomaly is open (${found.severity}): ${where}${found.explanation}`;
    const isTold = before?.isTold === true || isConnected;
    this.#paused.set(component, { anomaly: before?.anomaly ?? found, isTold });
    const began = before === undefined;
    if (!isConnected || before?.isTold === true) return { reason, began, effects: [] };
    const signals = { valueAtAnomaly: found.value, surpriseDecades: found.surprise, barDecades: found.bar };
    return { reason, began, effects: this.#decided(component, 'paused', reason, nowMs, signals) };
  }

  pausedBy(component: string): ObservedAnomaly | undefined {
    return this.#paused.get(component)?.anomaly;
  }

  /** What the tuner does itself moves metrics, of the component and of the machine: that is noted, and not alerted. */
  noteEffects(effects: readonly Effect[], nowMs: number): void {
    for (const effect of effects) {
      if (effect.kind !== 'command' && effect.kind !== 'revoke') continue;
      const what =
        effect.kind === 'command'
          ? effect.command.changes.map(({ knob, value }) => `${knob} to ${value}`).join(', ')
          : effect.knobs.join(', ');
      const component = effect.kind === 'command' ? effect.command.component : effect.component;
      for (const each of [component, HOST_COMPONENT]) {
        this.#excuse(each, { kind: 'own_change', what }, nowMs, OWN_CHANGE_MS);
      }
    }
  }

  /** A session was opened: by a process that is new, or by one that has reconnected. */
  noteSession({ component, incarnation, resource }: Manifest, nowMs: number): void {
    const before = this.#incarnations.get(component);
    this.#incarnations.set(component, incarnation);
    this.#noteVersion(component, resource['service.version'], nowMs);
    if (before !== undefined && before !== incarnation) this.#excuse(component, { kind: 'restart' }, nowMs, SETTLE_MS);
  }

  /** Called for each point, so cheap: almost always the resource is that of the point before. */
  noteSeries(component: string, { resource }: Series, nowMs: number): void {
    if (resource === this.#latestResource) return;
    this.#latestResource = resource;
    if (this.#resources.has(resource)) return;
    this.#resources.add(resource);
    const isDeploy = this.#noteVersion(component, attributeText(resource.get('service.version')), nowMs);
    const isNew = this.#noteInstance(component, resource);
    if (isNew && !isDeploy) this.#excuse(component, { kind: 'restart' }, nowMs, SETTLE_MS);
  }

  noteReset(component: string, nowMs: number): void {
    this.#excuse(component, { kind: 'counter_reset' }, nowMs, SETTLE_MS);
  }

  operator(request: OperatorRequest & WatchAction, nowMs: number): readonly Effect[] {
    const { component, by, requestId } = request;
    const reply = (ok: boolean, message: string): Answer => ({ kind: 'reply', requestId, ok, message });
    const known = this.store.components;
    if (!known.includes(component)) {
      return [reply(false, `nothing is known of component ${component}; known: ${known.join(', ') || 'none yet'}`)];
    }
    const { metric } = request;
    if (metric !== undefined && !isWatchedSignal(metric)) {
      return [reply(false, `no metric ${metric}; there are: ${WATCHED_SIGNALS.join(', ')}`)];
    }
    const answer = request.action === 'silence' ? this.#silence(request, nowMs) : this.#acknowledge(request);
    if (!answer.ok || request.dryRun === true) return [reply(answer.ok, answer.message)];
    const kind = request.action === 'silence' ? 'silenced' : 'acknowledged';
    answer.keep();
    return [
      ...this.#decided(component, kind, `${by}: ${answer.message}`, nowMs, undefined, by),
      reply(true, answer.message),
    ];
  }

  save(): LookoutState | undefined {
    const [silences, acknowledged] = [this.#silences, this.#acknowledged];
    return silences.length + acknowledged.length === 0 ? undefined : { silences, acknowledged };
  }

  #silence({ component, metric = '*', forMs }: WatchAction & { readonly action: 'silence' }, nowMs: number) {
    const others = this.#silences.filter((known) => known.component !== component || known.metric !== metric);
    const what = metric === '*' ? `all metrics of ${component}` : `${metric} of ${component}`;
    if (!(forMs >= 0) || forMs > LONGEST_SILENCE_MS) {
      return { ok: false, message: `a silence lasts from 0 to ${LONGEST_SILENCE_MS} ms` } as const;
    }
    if (others.length >= MOST_SILENCES)
      return { ok: false, message: `there are ${MOST_SILENCES} silences already` } as const;
    const isEnd = forMs === 0;
    const message = isEnd
      ? `anomalies of ${what} are told again`
      : `no word of anomalies of ${what} for ${Math.round(forMs / 60_000)} min; they do not hold up tuning either`;
    const silences = isEnd ? others : [...others, { component, metric, untilMs: nowMs + forMs }];
    const keep = (): void => {
      this.#silences = silences;
    };
    return { ok: true, message, keep } as const;
  }

  #acknowledge(request: WatchAction & { readonly action: 'acknowledge' } & { readonly by: string }) {
    const { component, metric, by } = request;
    const open = this.store.anomalies(component).filter(({ state }) => state === 'open');
    const found = open.find((anomaly) => anomaly.metric === metric);
    if (found === undefined) {
      const metrics = open.map((anomaly) => anomaly.metric).join(', ') || 'none';
      return { ok: false, message: `no anomaly of ${metric} is open; open: ${metrics}` } as const;
    }
    const message = `${metric}: anomaly ${found.id} was seen; no further word of it until it is over`;
    const keep = (): void => {
      this.store.acknowledge(component, metric, by);
      const others = this.#acknowledged.filter((known) => known.component !== component || known.metric !== metric);
      this.#acknowledged = [...others, { component, metric, by }];
    };
    return { ok: true, message, keep } as const;
  }

  /** After a restart: what was acknowledged before stays so. Call once the components' insights are restored. */
  restored(component: string): void {
    for (const { component: of, metric, by } of this.#acknowledged) {
      if (of === component) this.store.acknowledge(component, metric, by);
    }
  }

  #forget({ component, metric }: ObservedAnomaly): void {
    this.#acknowledged = this.#acknowledged.filter((known) => known.component !== component || known.metric !== metric);
  }

  #isSilenced({ component, metric }: { readonly component: string; readonly metric: string }, nowMs: number): boolean {
    return this.#silences.some(
      (known) =>
        known.component === component && (known.metric === '*' || known.metric === metric) && known.untilMs > nowMs,
    );
  }

  /** True when an instance reports that did not before, of a component that was known. */
  #noteInstance(component: string, resource: Series['resource']): boolean {
    const instance = ['service.instance.id', 'process.pid', 'container.id']
      .map((key) => attributeText(resource.get(key)))
      .join(' ');
    const known = this.#instances.get(component);
    if (known?.has(instance) === true || instance.trim() === '') return false;
    if (known === undefined || known.size >= MOST_INSTANCES) this.#instances.set(component, new Set([instance]));
    else known.add(instance);
    return known !== undefined;
  }

  /** True when the version is another than before. */
  #noteVersion(component: string, version: string | undefined, nowMs: number): boolean {
    if (version === undefined || version === '') return false;
    const before = this.#versions.get(component);
    this.#versions.set(component, version);
    if (before === undefined || before === version) return false;
    this.#excuse(component, { kind: 'deploy' }, nowMs, SETTLE_MS);
    return true;
  }

  #excuse(component: string, reason: QuietReason, nowMs: number, forMs: number): void {
    this.store.excuse(component, reason, nowMs, nowMs + forMs);
  }

  #decided(
    component: string,
    kind: DecisionKind,
    reason: string,
    nowMs: number,
    signals?: Readonly<Record<string, number>>,
    by?: string,
  ): readonly Effect[] {
    const decision: Decision = {
      ...{ id: this.#decisionId(), atMs: nowMs, component, kind, changes: [], reason },
      ...(by !== undefined && { by }),
      ...(signals !== undefined && { evidence: { objective: {}, blocks: [], signals, alternatives: [] } }),
    };
    return [{ kind: 'decision', decision }];
  }
}
