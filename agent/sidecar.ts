import { join, parse } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Logger } from 'pino';
import { createClock } from './adapters/clock.ts';
import { createControlServer } from './adapters/control/control_server.ts';
import { type AuditTrail, type ControlNotice, DEFAULT_CONTROL_LIMITS } from './adapters/control/ports.ts';
import { afterInRealTime } from './adapters/control/timer.ts';
import { createFlags } from './adapters/flags/flags.ts';
import type { GpuNotice } from './adapters/gpu/choice.ts';
import { createGpuSampler } from './adapters/gpu/sampler.ts';
import type { History } from './adapters/history/history.ts';
import { openHistory } from './adapters/history/sqlite_history.ts';
import { readInventory } from './adapters/host/inventory.ts';
import { createHostSampler } from './adapters/host/sampler.ts';
import type { Journal } from './adapters/journal/journal.ts';
import { openJournal } from './adapters/journal/sqlite-journal.ts';
import { createOtlpReceiver } from './adapters/otlp/receiver.ts';
import { createPrometheusScraper } from './adapters/prometheus/scraper.ts';
import type { ScrapeNotice, ScrapeTarget } from './adapters/prometheus/target.ts';
import { LoopWatch } from './adapters/readings/loop_watch.ts';
import type { Counts, Readings } from './adapters/readings/readings.ts';
import { StepTimes } from './adapters/readings/step_times.ts';
import { createSchedule } from './adapters/schedule.ts';
import { createStartMemory } from './adapters/start_memory.ts';
import { createTelemetry } from './adapters/telemetry/telemetry.ts';
import { createUpstream, type Upstream } from './adapters/upstream/upstream.ts';
import { ownFamilies } from './adapters/web/families.ts';
import { createWebServer, type WebPages } from './adapters/web/web_server.ts';
import { engineSettings, healthThresholds, signalMappings } from './config/engine.ts';
import { flaggedComponents } from './config/flagged.ts';
import type { Config } from './config/schema.ts';
import { Answers } from './core/answers.ts';
import { createEngine, type Engine, type SavedState, type View } from './core/engine.ts';
import { CapacityCache } from './core/forecast/capacity-cache.ts';
import type { Effect } from './core/model.ts';
import { SeriesInterner } from './core/series/interner.ts';
import { parseAddress } from './rpc/address.ts';
import { Runtime } from './runtime.ts';
import { Advice } from './sidecar/advice.ts';
import { Alerts } from './sidecar/alerts.ts';
import { cgroupLimiter, resourceManager, resourceReader } from './sidecar/resources.ts';
import { componentSnapshotOf, snapshotOf } from './snapshot.ts';
import { insightReadings, readingsOf, type StatusParts, statusOf } from './status.ts';
import { Tap } from './tap.ts';
import { learningFrom, measuredResults } from './upkeep/decisions.ts';
import { InsightKeeper, reportCapacity, restoreInsights, warmForecasts } from './upkeep/insights.ts';

export interface SidecarOptions {
  readonly log: Logger;
  readonly version: string;
  /** Of the engine's randomness; from the clock when absent. The saved state overrules it. */
  readonly seed?: number;
}

export interface Sidecar {
  /** Where it listens, ports filled in. */
  readonly addresses: {
    readonly otlpGrpc: string;
    readonly otlpHttp: string;
    readonly control: readonly string[];
    readonly web: string;
  };
  stop(deadline: AbortSignal): Promise<void>;
}

const INVENTORY_TIMEOUT_MS = 30_000;
/** After the agent is ready: its first ticks, samples and sessions are over. */
const SETTLED_AFTER_MS = 10_000;
const GROWTH_CHECK_MS = 10_000;
const EVERY_MINUTE = '* * * * *';
const EVERY_HOUR = '7 * * * *';
const SERIES_IDLE_MS = 900_000;
const DECISIONS_READ = 10_000;

/**
 * Composition root: builds every part from a frozen configuration and starts consumers before producers: journal, engine,
 * control channel, receivers, samplers. Stops in reverse, with a deadline: nothing new comes in, what was accepted is
 * worked off, the state is saved. Whatever fails at the start takes down what was started before it, and says why.
 */
export async function startSidecar(config: Config, { log, version, seed }: SidecarOptions): Promise<Sidecar> {
  const clock = createClock();
  const startedMs = clock.nowMs();
  let notReady: string | undefined = 'the agent is starting';
  const started: ((deadline: AbortSignal) => Promise<void>)[] = [];
  const stopAll = async (deadline: AbortSignal): Promise<void> => {
    notReady = 'the agent is stopping';
    for (const stop of started.splice(0).reverse()) {
      await stop(deadline).catch((error: unknown) => log.error({ err: error }, 'a part did not stop cleanly'));
    }
  };

  const journal = openJournal({ path: config.state.path, maxBytes: config.state.maxBytes, log, nowMs: clock.nowMs() });
  started.push(async () => journal.close());
  try {
    const epoch = journal.raiseEpoch(clock.nowMs());
    const engine = startEngine(config, journal, epoch, seed ?? epoch, log);
    const history = startHistory(config, clock.nowMs(), log);
    started.push(async () => history?.close(engine.takeHistory(clock.nowMs())));
    restoreInsights(engine, journal, clock.nowMs(), log);
    if (history !== undefined) {
      const warmed = warmForecasts(engine, history, clock.nowMs());
      if (warmed > 0) log.info({ signals: warmed }, 'forecasts begin with the hours of earlier runs');
    }
    const insightKeeper = new InsightKeeper(engine, journal);
    started.push(async () => insightKeeper.keepNow());
    const [exportWatch, pageWatch] = [new LoopWatch(), new LoopWatch()];
    const telemetry = createTelemetry({
      endpoint: config.telemetry.endpoint,
      intervalMs: config.telemetry.interval,
      serviceVersion: version,
      debugMetrics: config.monitoring.debugMetrics,
      log,
      readings: () => readings(exportWatch),
    });
    const steps = new StepTimes();
    const results = measuredResults(journal);
    const answers = new Answers({
      engine,
      results,
      thresholds: (component) => healthThresholds(config, component),
      observedSinceMs: startedMs,
    });
    const runtime = new Runtime({
      engine,
      journal: learningFrom(journal, (decision) => {
        results.learn(decision);
        advice.adviser.decided(decision);
      }),
      clock,
      tickMs: config.tuning.tick,
      maxQueuedPoints: config.capacity.maxQueuedPoints,
      perform: (effect) => perform(effect),
      log,
      onStep: (durationMs) => {
        telemetry.recordStep(durationMs);
        steps.record(durationMs);
      },
    });
    const tap = new Tap(signalMappings(config));
    const views = (): readonly View[] => runtime.components().flatMap((component) => runtime.view(component) ?? []);
    const resources = resourceManager(config, { nowMs: () => clock.nowMs(), engine });
    const limiter = cgroupLimiter(config, resources, journal, () => clock.nowMs(), log);
    const interner = new SeriesInterner({ maxSeries: config.capacity.maxSeries });
    const capacity = new CapacityCache((component) => engine.capacity(component));
    const advice = new Advice(config, {
      ...{ engine, results, resources, capacity, journal, log },
      nowMs: () => clock.nowMs(),
      announce: (event) => control.perform({ kind: 'event', event }),
    });
    const alerts = new Alerts(config, {
      ...{ engine, capacity, log },
      nowMs: () => clock.nowMs(),
      decisionsSince: (sinceMs) => journal.decisions({ sinceMs, limit: DECISIONS_READ }),
      recommendations: () => advice.adviser.list().length,
    });
    const flags = createFlags({
      components: config.flags.enabled ? flaggedComponents(config) : [],
      leaseTtlMs: config.control.leaseTtl,
      ports: {
        inbox: (input) => runtime.post(input),
        components: () => snapshotOf(views(), false, clock.nowMs()).components,
        nowMs: () => clock.nowMs(),
        after: afterInRealTime,
      },
    });
    const control = createControlServer({
      served: config.flags.enabled ? flags.services : [],
      isTaken: flags.owns,
      listen: [
        config.control.socket === null ? [] : `unix:${config.control.socket}`,
        config.control.address ?? [],
      ].flat(),
      epoch,
      heartbeatIntervalMs: config.control.heartbeatInterval,
      limits: {
        ...DEFAULT_CONTROL_LIMITS,
        maxSessions: config.control.maxSessions,
        maxKnobs: config.control.maxKnobs,
        messagesPerSecond: config.control.maxMessagesPerSecond,
        requestsPerSecond: config.control.maxRequestsPerSecond,
      },
      tls: config.control.tls,
      access: config.control.access,
      ports: {
        inbox: (input) => {
          runtime.post(input);
          flags.changed();
        },
        snapshot: () => snapshotOf(views(), engine.frozen !== undefined, clock.nowMs()),
        answers,
        nowMs: () => clock.nowMs(),
        component: (name) => componentSnapshotOf(name, runtime.tuning(name)),
        outcomes: { sink: tap.on('control', runtime), interner, nowMs: () => clock.nowMs() },
        decisions: (query) => journal.decisions(query),
        explain: (id) => journal.decisions({ id })[0],
        history,
        intervals: (component, signal) => engine.intervals(component, signal),
        insights: engine,
        tap: (filter, reader) => tap.open(filter, reader),
        audit: auditTrail(journal, () => clock.nowMs(), log),
        resources: resourceReader(resources, limiter),
        advice: advice.adviser,
      },
      observer: (notice) => report(notice, log),
    });
    const perform = (effect: Effect): void => {
      if (effect.kind === 'decision') return;
      const isLeased = effect.kind === 'command' || effect.kind === 'renewal' || effect.kind === 'revoke';
      if (isLeased && flags.perform(effect)) return;
      control.perform(effect);
    };
    const upstream = upstreamOf(config, () => clock.nowMs(), log);
    const { grpc, http, maxResidentBytes } = config.receivers.otlp;
    const receiver = createOtlpReceiver({
      grpc,
      http: http.address === null ? null : { ...http, address: http.address, paths: httpPaths(http) },
      maxResidentBytes,
      maxSeries: config.capacity.maxSeries,
      sink: tap.on('otlp', runtime),
      nowMs: () => clock.nowMs(),
      onDefect: (error) => log.error({ err: error }, 'a request could not be handled: a defect of the agent'),
      onCertificates: (transport, problem) => reportCertificates(transport, problem, log),
      upstream,
    });
    const scraper = createPrometheusScraper({
      targets: config.receivers.prometheus.targets.map(scrapeTarget),
      sink: tap.on('prometheus', runtime),
      // Its own: it forgets series that its pages no longer have.
      interner: new SeriesInterner({ maxSeries: config.capacity.maxSeries }),
      clock,
      observer: (notice) => reportScrape(notice, log),
    });
    const samplerOptions = {
      intervalMs: config.monitoring.interval,
      interner,
      clock: { nowMs: () => clock.nowMs(), monotonicMs: () => performance.now() },
      targets: () => control.processes(),
    };
    const sampler = createHostSampler({
      ...samplerOptions,
      sink: tap.on('host', runtime),
      onError: (error) => log.warn({ err: error }, 'the host could not be sampled'),
    });
    const gpuSampler = createGpuSampler({
      ...samplerOptions,
      sink: tap.on('gpu', runtime),
      source: config.gpu.source,
      onNotice: (notice) => reportGpu(notice, log),
      onError: (error) => log.warn({ err: error }, 'the GPUs could not be sampled'),
    });
    const startMemory = createStartMemory(log);
    const schedule = createSchedule(
      [
        {
          name: 'journal maintenance',
          cron: config.state.maintenance,
          run: async () => {
            runtime.checkpoint();
            const pruned = journal.prune(clock.nowMs() - config.state.decisionRetention);
            journal.checkpoint();
            await history?.prune(clock.nowMs());
            log.debug({ pruned, history: history?.counts }, 'journal and history maintained');
          },
        },
        {
          name: 'history',
          cron: EVERY_MINUTE,
          run: () => history?.keep(engine.takeHistory(clock.nowMs()), clock.nowMs()),
        },
        { name: 'insights', cron: EVERY_MINUTE, run: () => insightKeeper.keep() },
        {
          name: 'capacity report',
          cron: config.analytics.capacityReport,
          run: () => reportCapacity(engine, (event) => control.perform({ kind: 'event', event }), clock.nowMs(), log),
        },
        ...(config.alerts.enabled && config.alerts.report !== null
          ? [{ name: 'daily report', cron: config.alerts.report, run: () => alerts.report() }]
          : []),
        { name: 'memory of rare work', cron: EVERY_HOUR, run: () => startMemory.release() },
        { name: 'idle series', cron: EVERY_MINUTE, run: () => void receiver.evictIdle(SERIES_IDLE_MS) },
      ],
      log,
    );

    function counts(): Counts {
      const stats = runtime.stats();
      const { series, unmapped, refusedComponents } = engine.stats();
      const { counters } = receiver;
      return {
        pointsAccepted: stats.pointsAccepted,
        pointsRejected: { ...counters.pointsRejected, overloaded: stats.pointsRefused },
        pointsDropped: {
          unmapped,
          component_limit: refusedComponents,
          duplicate: series.duplicates,
          out_of_order: series.outOfOrder,
          overlap: series.overlaps,
          overflow_series: series.overflowSeries,
          series_limit: series.seriesLimit,
          invalid: series.invalid,
          host_sampler: sampler.counts.dropped,
          gpu_sampler: gpuSampler.counts.dropped,
          // Points that the inbox refused are among `pointsRejected`.
          ...Object.fromEntries(
            Object.entries({ ...scraper.counts.dropped, overloaded: 0 }).map(([why, count]) => [
              `scrape_${why}`,
              count,
            ]),
          ),
        },
        inboxDepth: stats.queuedInputs + stats.queuedPoints,
        decisions: stats.decisions,
        sessions: runtime.components().filter((component) => runtime.tuning(component)?.connected === true).length,
        components: engine.components().length,
        series: series.live,
        clockSteps: clock.steps,
        insights: insightReadings(engine),
        audits: Object.fromEntries(
          runtime.components().flatMap((component) => {
            const audit = runtime.tuning(component)?.audit;
            return audit === undefined ? [] : [[component, audit]];
          }),
        ),
      };
    }

    const statusParts = (): StatusParts => ({
      ...{ config, version, startedMs, notReady, engine, upstream, receiver },
      ...{ nowMs: clock.nowMs(), runtime: runtime.stats(), views: views() },
      ...{ controlAddresses: control.addresses, sampler: sampler.counts, history, alerts: alerts.status },
      recommendations: { open: advice.adviser.list().length, dropped: advice.adviser.dropped },
      cgroups: { applied: limiter.applied.length, ...limiter.counts },
    });
    /** `watch`: of whoever reads, so that each sees the event loop since it last did. */
    function readings(watch: LoopWatch): Readings {
      return readingsOf(counts(), statusParts(), watch.read());
    }
    const web = webOf(config, {
      metrics: () => ownFamilies(readings(pageWatch), steps.read()),
      status: () => statusOf(statusParts()),
      notReady: () => notReady,
      onDefect: (error) => log.error({ err: error }, 'a page could not be made: a defect of the agent'),
    });

    runtime.start();
    started.push(async () => runtime.stop());
    await alerts.start();
    started.push((deadline) => alerts.stop(deadline));
    await advice.start();
    started.push((deadline) => advice.stop(deadline));
    await limiter.start();
    started.push((deadline) => limiter.stop(deadline));
    if (web !== undefined) {
      await web.start();
      started.push((deadline) => web.stop(deadline).finally(() => pageWatch.stop()));
    }
    if (upstream !== undefined) {
      await upstream.start();
      started.push((deadline) => upstream.stop(deadline));
    }
    await telemetry.start();
    started.push((deadline) => telemetry.stop(deadline).finally(() => exportWatch.stop()));
    await control.start();
    started.push((deadline) => control.stop(deadline));
    flags.start();
    started.push(async () => flags.stop());
    await schedule.start();
    started.push((deadline) => schedule.stop(deadline));
    if (config.monitoring.enabled) {
      await receiver.start();
      started.push((deadline) => receiver.stop(deadline));
      await sampler.start();
      started.push((deadline) => sampler.stop(deadline));
      await gpuSampler.start();
      started.push((deadline) => gpuSampler.stop(deadline));
      await scraper.start();
      started.push((deadline) => scraper.stop(deadline));
    }
    notReady = undefined;
    log.info(
      {
        ...{ otlpGrpc: receiver.addresses.grpc, otlpHttp: receiver.addresses.http, web: web?.address },
        ...{ control: control.addresses, state: config.state.path, epoch },
      },
      'the agent is ready',
    );
    void readInventory({ timeoutMs: INVENTORY_TIMEOUT_MS }).then((inventory) => log.info({ inventory }, 'inventory'));
    const settled = setTimeout(() => startMemory.release(), SETTLED_AFTER_MS).unref();
    const growth = setInterval(() => startMemory.releaseIfGrown(clock.nowMs()), GROWTH_CHECK_MS).unref();
    started.push(async () => {
      clearTimeout(settled);
      clearInterval(growth);
    });
    const { grpc: otlpGrpc = 'off', http: otlpHttp = 'off' } = receiver.addresses;
    const addresses = { otlpGrpc, otlpHttp, control: control.addresses, web: web?.address ?? 'off' };
    return { addresses, stop: stopAll };
  } catch (error) {
    await stopAll(AbortSignal.timeout(1_000));
    throw error;
  }
}

function upstreamOf({ upstream }: Config, nowMs: () => number, log: Logger): Upstream | undefined {
  const { endpoint, timeout, retry, queue, ...same } = upstream;
  if (endpoint === null) return undefined;
  return createUpstream({
    ...same,
    endpoint,
    timeoutMs: timeout,
    retry: { initialMs: retry.initial, maxMs: retry.max },
    queue: { ...queue, maxAgeMs: queue.maxAge },
    log,
    nowMs,
  });
}

function webOf({ web }: Config, { onDefect, ...pages }: WebPages & { onDefect: (error: unknown) => void }) {
  const address = web.address === null ? undefined : parseAddress(web.address);
  if (address?.kind !== 'tcp') return undefined;
  return createWebServer({ host: address.host, port: address.port, key: web.key, pages, onDefect });
}

/** The engine as it was when the state was last saved; a state that cannot be read is a clean start, said loudly. */
function startEngine(config: Config, journal: Journal, epoch: number, seed: number, log: Logger): Engine {
  const options = { settings: engineSettings(config), mappings: signalMappings(config), seed, epoch };
  const text = journal.readState();
  if (text === undefined) {
    log.info('no saved state: a clean start');
    return createEngine(options);
  }
  try {
    const saved: SavedState = JSON.parse(text);
    const engine = createEngine({ ...options, saved });
    for (const [component, { held, openTrial }] of Object.entries(saved.components)) {
      const proven = Object.fromEntries(Object.entries(held).map(([knob, { value }]) => [knob, value]));
      const what =
        openTrial === undefined ? 'proven values resume' : `trial ${openTrial.id} was open: it is rolled back`;
      log.info({ component, proven, openTrial }, `${what} when the process connects`);
    }
    return engine;
  } catch (error) {
    log.error(
      { err: error },
      'the saved state cannot be used: starting without what was learned; every process returns to its baselines',
    );
    return createEngine(options);
  }
}

/** History is a convenience: where its file cannot be had, that is said and everything else works. */
function startHistory({ state, monitoring }: Config, nowMs: number, log: Logger): History | undefined {
  const path = historyPath(state.path);
  const { maxHistoryBytes: maxBytes } = state;
  try {
    return openHistory({ path, maxBytes, retentionMs: monitoring.dataRetention, nowMs, log });
  } catch (error) {
    log.error({ err: error, path }, 'no history is kept: its file cannot be used');
    return undefined;
  }
}

/** `agent.db` → `agent-history.db`. */
function historyPath(statePath: string): string {
  const { dir, name, ext } = parse(statePath);
  return join(dir, `${name}-history${ext}`);
}

/** What cannot be written down is said in the log instead, and done all the same: a freeze must not wait for a disk. */
function auditTrail(journal: Journal, nowMs: () => number, log: Logger): AuditTrail {
  const attempt = <T>(write: () => T, what: object): T | undefined => {
    try {
      return write();
    } catch (error) {
      log.error({ err: error, ...what }, 'the audit record cannot be written');
      return undefined;
    }
  };
  return {
    asked(question) {
      const seq = attempt(() => journal.auditAsked({ ...question, atMs: nowMs() }), question);
      return ({ ok, message }) => {
        const { who, action, address, dryRun } = question;
        log.info({ who, action, address, dryRun, ok }, `an operator's request: ${message}`);
        if (seq !== undefined) attempt(() => journal.auditAnswered(seq, ok, message), { who, action, ok, message });
      };
    },
  };
}

function report(notice: ControlNotice, log: Logger): void {
  if (notice.kind === 'credentials_reloaded') return reportCertificates('control', notice.problem, log);
  const { kind, ...details } = notice;
  const level = kind === 'session_opened' || kind === 'session_closed' ? 'info' : 'warn';
  log[level](details, kind.replaceAll('_', ' '));
}

function reportGpu(notice: GpuNotice, log: Logger): void {
  const { kind, ...details } = notice;
  if (kind === 'failed') log.warn(details, 'the GPUs could not be read');
  else if (kind === 'none') log.info(details, 'no GPU to sample');
  else log.info(details, 'GPUs are sampled');
}

function scrapeTarget({
  interval,
  timeout,
  ...same
}: Config['receivers']['prometheus']['targets'][number]): ScrapeTarget {
  return { ...same, intervalMs: interval, timeoutMs: timeout };
}

function reportScrape(notice: ScrapeNotice, log: Logger): void {
  switch (notice.kind) {
    case 'target_up':
      return log.info({ url: notice.url }, 'the page is scraped');
    case 'target_down':
      return log.warn({ url: notice.url, failure: notice.failure }, `the page cannot be scraped: ${notice.reason}`);
    case 'bad_lines':
      return log.warn(
        { url: notice.url, badLines: notice.badLines, errors: notice.errors },
        'the page has lines that cannot be read; the others count',
      );
    case 'defect':
      return log.error({ err: notice.error, url: notice.url }, 'a page could not be handled: a defect of the agent');
  }
}

function httpPaths({ metricsPath, tracesPath, logsPath }: Config['receivers']['otlp']['http']) {
  return { metrics: metricsPath, traces: tracesPath, logs: logsPath };
}

function reportCertificates(transport: string, problem: Error | undefined, log: Logger): void {
  if (problem === undefined) log.info({ transport }, 'new credentials are in use');
  else log.error({ transport, err: problem }, 'new credentials cannot be used: the old ones stay');
}
