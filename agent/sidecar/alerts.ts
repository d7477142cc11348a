import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { createWebhook, type Webhook } from '../adapters/alerts/webhook.ts';
import type { Status } from '../adapters/web/status.ts';
import { healthThresholds } from '../config/engine.ts';
import type { Config } from '../config/schema.ts';
import { AlertBook, type Notice } from '../core/alerts/alert-book.ts';
import { type ConditionRules, conditionsOf } from '../core/alerts/condition.ts';
import { summaryOf } from '../core/alerts/summary.ts';
import type { Engine } from '../core/engine.ts';
import type { CapacityCache } from '../core/forecast/capacity-cache.ts';
import { healthOf } from '../core/health.ts';
import { HOST_COMPONENT } from '../core/insight/finding.ts';
import type { Decision } from '../core/model.ts';

export interface AlertParts {
  readonly engine: Pick<Engine, 'components' | 'view' | 'anomalies' | 'burning' | 'epoch'>;
  readonly capacity: CapacityCache;
  readonly nowMs: () => number;
  readonly decisionsSince: (sinceMs: number) => readonly Decision[];
  readonly recommendations: () => number;
  readonly log: Logger;
}

const DAY_MS = 86_400_000;

/** Looks once an interval, and tells the log and the webhook. The engine never waits for either. */
export class Alerts {
  readonly #config: Config;
  readonly #parts: AlertParts;
  readonly #book: AlertBook;
  readonly #rules: ConditionRules;
  readonly #webhook: Webhook | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Throws when a file of `alerts.webhook.tls` cannot be read. */
  constructor(config: Config, parts: AlertParts) {
    const { health, anomaly, slo, forecastWithin, hold, resolve, repeat, maxPerHour } = config.alerts;
    this.#config = config;
    this.#parts = parts;
    this.#rules = {
      ...(health !== 'off' && { health }),
      ...(anomaly !== 'off' && { anomaly }),
      slo,
      ...(forecastWithin !== null && { forecastWithinMs: forecastWithin }),
    };
    const settings = { holdMs: hold, resolveMs: resolve, maxPerHour, ...(repeat !== null && { repeatMs: repeat }) };
    this.#book = new AlertBook(settings, `al${parts.engine.epoch}`);
    this.#webhook = webhookOf(config, parts.log);
  }

  get status(): Status['alerts'] {
    return {
      open: this.#book.open.map(({ id, kind, component, severity, summary, sinceMs }) => ({
        ...{ id, kind, component, severity, summary, sinceMs },
      })),
      ...this.#book.counts,
      ...(this.#webhook !== undefined && { webhook: this.#webhook.counts }),
    };
  }

  async start(): Promise<void> {
    if (!this.#config.alerts.enabled) return;
    this.#timer = setInterval(() => this.look(), this.#config.monitoring.interval);
    this.#timer.unref();
  }

  async stop(deadline: AbortSignal): Promise<void> {
    clearInterval(this.#timer);
    await this.#webhook?.stop(deadline);
  }

  look(): void {
    const { engine, capacity, nowMs } = this.#parts;
    const atMs = nowMs();
    // The machine is watched like a component; its health is in what it does to them.
    const watched = [...engine.components(), HOST_COMPONENT];
    const conditions = watched.flatMap((component) => {
      const profile = engine.view(component)?.profile;
      const burning = engine.burning(component);
      const report = this.#rules.forecastWithinMs === undefined ? undefined : capacity.of(component, atMs);
      const health = profile && healthOf(profile, healthThresholds(this.#config, component));
      return conditionsOf(
        {
          component,
          health: health ?? { status: 'unknown' },
          anomalies: engine.anomalies(component).filter(({ state }) => state === 'open'),
          ...(burning !== undefined && { burning }),
          ...(report !== undefined && { capacity: report }),
        },
        this.#rules,
      );
    });
    for (const notice of this.#book.look(atMs, conditions)) this.#tell(notice);
  }

  /** The summary of the last day. */
  report(): void {
    const { engine, nowMs, decisionsSince, recommendations, log } = this.#parts;
    const atMs = nowMs();
    const fromMs = atMs - DAY_MS;
    const summary = summaryOf({
      ...{ atMs, fromMs, recommendations: recommendations(), alerts: this.#book.open.length },
      components: [...engine.components()].sort().map((component) => {
        const profile = engine.view(component)?.profile;
        if (profile === undefined) return { component, health: { status: 'unknown' } as const };
        return { component, profile, health: healthOf(profile, healthThresholds(this.#config, component)) };
      }),
      decisions: decisionsSince(fromMs),
    });
    log.info({ summary }, 'the last 24 hours');
    const { text, ...rest } = summary;
    this.#webhook?.send({ kind: 'report', text: `${hostname()}: the last 24 hours\n${text}`, ...rest, ...sender() });
  }

  #tell({ status, alert, atMs }: Notice): void {
    const { id, kind, component, severity, summary, signals, sinceMs } = alert;
    const level = status === 'resolved' ? 'info' : 'warn';
    const words = status === 'resolved' ? `over: ${summary}` : status === 'reminder' ? `still: ${summary}` : summary;
    this.#parts.log[level]({ alert: id, status, kind, component, severity, signals }, words);
    this.#webhook?.send({
      kind: 'alert',
      ...{ status, id, component, severity, what: kind, summary, signals },
      since: new Date(sinceMs).toISOString(),
      at: new Date(atMs).toISOString(),
      text: `[${status}, ${severity}] ${words}`,
      ...sender(),
    });
  }
}

function sender() {
  return { version: 1, agent: { host: hostname() } };
}

function webhookOf({ alerts: { enabled, webhook } }: Config, log: Logger): Webhook | undefined {
  const { url, timeout, retry, tls, headers, maxQueued } = webhook;
  if (!enabled || url === null) return undefined;
  return createWebhook({
    ...{ url, headers, maxQueued },
    timeoutMs: timeout,
    retry: { initialMs: retry.initial, maxMs: retry.max, maxAttempts: retry.maxAttempts },
    tls: {
      ...(tls.ca !== null && { ca: pem('ca', tls.ca) }),
      ...(tls.cert !== null && { cert: pem('cert', tls.cert) }),
      ...(tls.key !== null && { key: pem('key', tls.key) }),
    },
    onNotice(notice) {
      if (notice.kind === 'working') log.info('the alert webhook takes notices again');
      else if (notice.kind === 'failing') log.warn({ why: notice.why }, 'the alert webhook fails; tried again');
      else log.error({ why: notice.why }, 'a notice could not be delivered to the alert webhook and is given up');
    },
  });
}

function pem(key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`alerts.webhook.tls.${key}: ${path} cannot be read: ${reason}; give the path of a PEM file`, {
      cause: error,
    });
  }
}
