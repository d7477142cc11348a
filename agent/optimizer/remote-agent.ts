import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, type ClientReadableStream, status } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Recommendation } from '../core/advice/recommendation.ts';
import { HOST_COMPONENT } from '../core/insight/finding.ts';
import type { KnobMode, OptimizerEvent } from '../core/model.ts';
import type { PerformanceProfile } from '../core/profile/performance_profile.ts';
import { highestUse, RESOURCE_SIGNALS } from '../core/resources/engine_source.ts';
import { SHARED_RESOURCES, type SharedResource } from '../core/resources/usage.ts';
import type { ResourceSource } from '../core/resources.ts';
import {
  type ComponentState,
  TuningService,
  WatchEventsRequestSchema,
  type WatchEventsResponse,
} from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { grpcTarget, parseAddress } from '../rpc/address.ts';
import { decodeAnalytics, decodeFigures, decodeHealthReport, decodeOptimization } from '../rpc/answers_codec.ts';
import { callServerStream, callUnary, isServiceError } from '../rpc/calls.ts';
import { type ChannelAccess, channelCredentials, withToken } from '../rpc/channel_access.ts';
import {
  decodeAnomaly,
  decodePattern,
  decodeRecommendation,
  type FoundAnomaly,
  type FoundPattern,
} from '../rpc/findings_codec.ts';
import { decodeTimeMs, encodeDurationMs, encodeValue } from '../rpc/knob_codec.ts';
import { decodeProfile } from '../rpc/profile_codec.ts';
import { modeWords } from '../rpc/words.ts';
import type { Agent, AgentRequest, Reply } from './agent.ts';
import type { AIComponent, ResourceAllocation } from './component.ts';
import { isEventType } from './events.ts';
import { RemoteSession } from './remote-session.ts';
import type { RequestExport } from './request-export.ts';

export interface RemoteAgentOptions {
  /** Of its control channel: `unix:/path` or `host:port`. */
  readonly address: string;
  readonly access?: ChannelAccess;
  /** Of its receiver; without one, what the process reports by itself is all that the agent knows. */
  readonly otlpEndpoint?: string;
  readonly exportIntervalMs: number;
  readonly watchIntervalMs: number;
  /** How far ahead the need of resources is foreseen. */
  readonly horizonMs: number;
  readonly log: Logger;
  readonly tell: (event: OptimizerEvent) => void;
}

interface Seen {
  readonly machine: PerformanceProfile;
  readonly components: ReturnType<ResourceSource['components']>;
  readonly forecasts: ReadonlyMap<string, number>;
}

const DEADLINE_MS = 10_000;
const RETRY_MS = 1_000;
const MAX_REASON = 1_024;
const { method } = TuningService;

/** An agent that runs elsewhere: asked over gRPC, with the same answers, and its client as the arm in this process. */
export class RemoteAgent implements Agent {
  readonly #options: RemoteAgentOptions;
  readonly #client: Client;
  readonly #sessions = new Map<string, RemoteSession>();
  readonly #opening = new Map<string, Promise<unknown>>();
  readonly #exports = new Map<string, RequestExport>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** As of the last `refresh`. */
  #seen: Seen = { machine: emptyProfile(HOST_COMPONENT), components: [], forecasts: new Map() };
  readonly source: ResourceSource = {
    nowMs: () => Date.now(),
    machine: () => this.#seen.machine,
    components: () => this.#seen.components,
    forecastHigh: (component, resource) => this.#seen.forecasts.get(`${component}\n${resource}`),
  };
  #events: ClientReadableStream<WatchEventsResponse> | undefined;
  #stopped = false;

  constructor(options: RemoteAgentOptions) {
    this.#options = options;
    const access = options.access ?? {};
    const target = grpcTarget(parseAddress(options.address));
    this.#client = new Client(target, channelCredentials(access), withToken(access));
  }

  async start(): Promise<void> {
    this.#watchEvents();
    this.#every(this.#options.watchIntervalMs, () => this.#look());
    await this.refresh().catch((error: unknown) =>
      this.#options.log.warn({ err: error, address: this.#options.address }, 'no agent answers yet; it is tried again'),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const component of [...this.#sessions.keys()]) this.close(component);
    this.#events?.cancel();
    await Promise.all([...this.#exports.values()].map((sent) => sent.stop()));
    this.#client.close();
  }

  async open(component: AIComponent): Promise<void> {
    const { name } = component;
    // Of two who come at once the second waits for the first.
    await this.#opening.get(name);
    const known = this.#sessions.get(name);
    if (known !== undefined && known.component !== component) {
      throw new RangeError(`a component named ${JSON.stringify(name)} is being optimised already`);
    }
    if (known !== undefined) return this.#look();
    const opening = this.#connect(component).finally(() => this.#opening.delete(name));
    this.#opening.set(
      name,
      opening.catch(() => undefined),
    );
    await opening;
  }

  close(component: string): void {
    this.#sessions.get(component)?.close();
    this.#sessions.delete(component);
  }

  knobs(component: string): RemoteSession['knobs'] | undefined {
    return this.#sessions.get(component)?.knobs;
  }

  isTuned(component: string): boolean {
    return this.#sessions.get(component)?.isTuned === true;
  }

  record(component: string, durationMs: number, outcome: 'ok' | 'error', allocation: ResourceAllocation): void {
    this.#exports.get(component)?.record(durationMs, outcome, allocation);
  }

  async settle(): Promise<void> {
    await Promise.all([...this.#exports.values()].map((sent) => sent.flush()));
  }

  async refresh(): Promise<void> {
    const { components } = await this.analytics();
    const [machine, ...found] = await Promise.all(
      [HOST_COMPONENT, ...components.map(({ component }) => component)].map((name) => this.profile(name)),
    );
    const seen = found.flatMap((profile, i) => {
      const tier = components[i]?.tier ?? 'stable';
      return profile === undefined ? [] : [{ component: profile.component, tier, profile }];
    });
    const forecasts = await Promise.all(
      seen.flatMap(({ component, profile }) =>
        SHARED_RESOURCES.map(async (resource): Promise<readonly (readonly [string, number])[]> => {
          const high = await this.#forecastHigh(profile, resource);
          return high === undefined ? [] : [[`${component}\n${resource}`, high]];
        }),
      ),
    );
    this.#seen = {
      machine: machine ?? emptyProfile(HOST_COMPONENT),
      components: seen,
      forecasts: new Map(forecasts.flat()),
    };
  }

  readings() {
    return { address: this.#options.address, sessions: this.#sessions.size, exports: this.#exports.size };
  }

  async components(): Promise<readonly string[]> {
    return (await this.analytics()).components.map(({ component }) => component);
  }

  async profile(component: string): Promise<PerformanceProfile | undefined> {
    const answer = await ifKnown(this.#call(method.getProfile, { component }));
    return answer?.profile && decodeProfile(answer.profile);
  }

  async optimization(component: string) {
    const standing = (await this.#state(component))?.optimization;
    return standing && decodeOptimization(component, standing);
  }

  async figures() {
    return decodeFigures((await this.#call(method.getSnapshot, {})).figures);
  }

  async analytics() {
    return decodeAnalytics(await this.#call(method.getAnalytics, {}));
  }

  async patterns(component: string): Promise<readonly FoundPattern[]> {
    const answer = await ifKnown(this.#call(method.listPatterns, { component }));
    return (answer?.patterns ?? []).flatMap((pattern) => decodePattern(pattern) ?? []);
  }

  async anomalies(component: string): Promise<readonly FoundAnomaly[]> {
    const answer = await ifKnown(this.#call(method.listAnomalies, { component }));
    return (answer?.anomalies ?? []).flatMap((anomaly) => decodeAnomaly(anomaly) ?? []);
  }

  async recommendations(): Promise<readonly Recommendation[]> {
    const { recommendations } = await this.#call(method.listRecommendations, {});
    return recommendations.flatMap((recommendation) => decodeRecommendation(recommendation) ?? []);
  }

  async health() {
    return decodeHealthReport(await this.#call(method.checkHealth, {}));
  }

  async modes(component: string): Promise<ReadonlyMap<string, KnobMode>> {
    const knobs = (await this.#state(component))?.knobs ?? [];
    return new Map(
      knobs.flatMap(({ spec, mode }) => {
        const word = modeWords.decode(mode);
        return spec === undefined || word === undefined ? [] : [[spec.id, word] as const];
      }),
    );
  }

  async ask(request: AgentRequest, by: string): Promise<Reply> {
    try {
      return { ok: true, ...(await this.#request(request, by.slice(0, 128))) };
    } catch (error) {
      if (!isServiceError(error) || error.code === status.UNAVAILABLE) throw error;
      return { ok: false, message: error.details };
    }
  }

  async #connect(component: AIComponent): Promise<void> {
    const { name } = component;
    const { address, access = {}, otlpEndpoint, exportIntervalMs } = this.#options;
    this.#sessions.set(name, await RemoteSession.open(component, address, access));
    if (otlpEndpoint === undefined || this.#exports.has(name)) return;
    // The SDK is loaded only where it is wanted.
    const { RequestExport: Exporter } = await import('./request-export.ts');
    this.#exports.set(name, new Exporter(name, otlpEndpoint, exportIntervalMs));
  }

  async #request(request: AgentRequest, by: string): Promise<{ message: string; proposalId?: string }> {
    switch (request.action) {
      case 'set_mode': {
        const { component, knob = '', mode } = request;
        return this.#call(method.setMode, { component, knob, mode: modeWords.encode(mode), by });
      }
      case 'approve':
        return this.#call(method.approve, { proposalId: request.proposalId, by });
      case 'optimize':
        return this.#call(method.optimize, { component: request.component, by });
      case 'propose': {
        const { component, changes, reason, strategy = '', rule = '' } = request;
        const values = Object.entries(changes).map(([knob, value]) => ({ knob, value: encodeValue(value) }));
        const request_ = { component, changes: values, reason: reason.slice(0, MAX_REASON), strategy, rule, by };
        const { message, proposalId } = await this.#call(method.propose, request_);
        return { message, ...(proposalId !== '' && { proposalId }) };
      }
    }
  }

  #call<I extends DescMessage, O extends DescMessage>(called: DescMethodUnary<I, O>, request: MessageInitShape<I>) {
    return callUnary(this.#client, called, create(called.input, request), DEADLINE_MS);
  }

  /** Upper end of what a component will use within the horizon; undefined while that is not known. */
  async #forecastHigh({ component, resources }: PerformanceProfile, resource: SharedResource) {
    const metric = RESOURCE_SIGNALS[resource];
    const horizon = encodeDurationMs(this.#options.horizonMs);
    try {
      const { steps } = await this.#call(method.getForecast, { component, metric, horizon });
      return highestUse(resource, steps, resources.cpu?.capacity);
    } catch (error) {
      // Too little history yet, or a signal that is not forecast.
      if (isServiceError(error) && error.code !== status.UNAVAILABLE) return undefined;
      throw error;
    }
  }

  async #state(component: string): Promise<ComponentState | undefined> {
    const { components } = await this.#call(method.getSnapshot, { component });
    return components.find((state) => state.component === component);
  }

  #watchEvents(): void {
    if (this.#stopped) return;
    const stream = callServerStream(this.#client, method.watchEvents, create(WatchEventsRequestSchema));
    this.#events = stream;
    stream.on('data', ({ type, component, time, data }: WatchEventsResponse) => {
      if (!isEventType(type)) return;
      this.#options.tell({ type, component, atMs: time === undefined ? 0 : decodeTimeMs(time), data: data ?? {} });
    });
    let isOver = false;
    const again = (): void => {
      if (isOver) return;
      isOver = true;
      this.#after(RETRY_MS, () => this.#watchEvents());
    };
    stream.on('error', again);
    stream.on('end', again);
  }

  #look(): void {
    for (const [name, session] of [...this.#sessions]) {
      if (session.watch()) continue;
      this.#options.log.warn({ component: name }, 'a value was set by hand that its knob cannot have: declared anew');
      this.close(name);
      this.open(session.component).catch((error: unknown) =>
        this.#options.log.error({ err: error, component: name }, 'the component cannot be tuned any more'),
      );
    }
  }

  #every(intervalMs: number, run: () => void): void {
    this.#timers.add(setInterval(run, intervalMs).unref());
  }

  #after(delayMs: number, run: () => void): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs).unref();
    this.#timers.add(timer);
  }
}

/** Undefined where the agent knows nothing of the component. */
async function ifKnown<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isServiceError(error) && error.code === status.NOT_FOUND) return undefined;
    throw error;
  }
}

function emptyProfile(component: string): PerformanceProfile {
  const optimization = { lastOptimized: 0, optimizations: 0 };
  return { component, atMs: 0, windowMs: 0, metrics: {}, resources: {}, stalls: {}, optimization };
}
