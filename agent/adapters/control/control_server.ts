import { Server } from '@grpc/grpc-js';
import type { ComponentProcess } from '../../core/model.ts';
import { file_grpc_health_v1_health, Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { file_grpc_reflection_v1_reflection, ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import {
  ControlService,
  file_performance_optimizer_control_v1_control_service,
} from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import {
  file_performance_optimizer_control_v1_tuning_service,
  TuningService,
} from '../../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import type { Address } from '../../rpc/address.ts';
import { type CertificateFiles, Certificates } from '../../rpc/certificates.ts';
import type { Reads, Served } from '../../rpc/served.ts';
import { describedService, type Handlers, serviceDefinition } from '../../rpc/service_definition.ts';
import { Access, type AccessOptions, TRUSTING } from './access.ts';
import { channelz } from './channelz.ts';
import { Guard } from './guard.ts';
import { HealthState } from './health.ts';
import { KnobWatchers } from './knob_watchers.ts';
import { type Listening, listenOn, readAddresses, transportOf } from './listen.ts';
import { OperatorCalls } from './operator_calls.ts';
import { Outcomes } from './outcomes.ts';
import {
  type ControlEffect,
  type ControlLimits,
  type ControlObserver,
  type ControlPorts,
  DEFAULT_CONTROL_LIMITS,
  type SessionInput,
} from './ports.ts';
import { reflectionService } from './reflection.ts';
import { Sessions } from './sessions.ts';
import { Taps } from './taps.ts';
import { type After, afterInRealTime } from './timer.ts';
import { tuningService } from './tuning_service.ts';
import { unary } from './unary.ts';
import { Watchers } from './watchers.ts';

/** The largest message taken. A manifest of 256 long-winded knobs is half of it. */
const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024;
/** Calls open at once on one connection; a client needs a handful. */
const MAX_STREAMS = 256;
/** How often certificates and tokens are looked at for new content. */
const RELOAD_EVERY_MS = 60_000;

export interface ControlServerOptions {
  /** `unix:/path` or `host:port`; beyond loopback only with `tls` that asks clients for a certificate. */
  readonly listen: readonly string[];
  readonly tls?: CertificateFiles | null;
  /** Without it whoever can connect may do everything: what connects is then the only access control. */
  readonly access?: AccessOptions;
  readonly epoch: number;
  readonly heartbeatIntervalMs: number;
  readonly limits?: ControlLimits;
  readonly ports: ControlPorts;
  /** Served beside ours, at the same addresses, to whoever may read what they tell. */
  readonly served?: readonly Served[];
  /** Whether somebody else speaks for the component, so that no process may open a session of it. */
  readonly isTaken?: (component: string) => boolean;
  readonly observer: ControlObserver;
  /** For tests; real time otherwise. */
  readonly after?: After;
  readonly nowMs?: () => number;
}

/** The gRPC server that AI processes and operators speak to. */
export interface ControlServer {
  /** Where it listens, ports filled in; empty before `start`. */
  readonly addresses: readonly string[];
  /** Rejects with what cannot be listened on and why; nothing is left open then. */
  start(): Promise<void>;
  /** Ends the sessions (the processes keep their values until the leases run out), then closes; by force at the deadline. */
  stop(deadline: AbortSignal): Promise<void>;
  /** Carries an effect of the engine out. Never blocks. */
  perform(effect: ControlEffect): void;
  /** Those that have a session now and have said their pid: workers of one component are several. */
  processes(): readonly ComponentProcess[];
  /** Looks at certificates and tokens now, for new content. */
  reload(): void;
}

export function createControlServer(options: ControlServerOptions): ControlServer {
  const { epoch, heartbeatIntervalMs, ports, observer, tls, served = [], isTaken = () => false } = options;
  const limits = options.limits ?? DEFAULT_CONTROL_LIMITS;
  const after = options.after ?? afterInRealTime;
  const nowMs = options.nowMs ?? (() => performance.now());
  // Refused here already: a configuration that would open the agent to the world must not even begin to start.
  const addresses = readAddresses(options.listen, typeof tls?.clientCa === 'string');
  const access = new Access(options.access ?? TRUSTING);
  const onReload = (problem: Error | undefined): void =>
    observer({ kind: 'credentials_reloaded', ...(problem !== undefined && { problem }) });
  const certificates = tls ? new Certificates({ files: tls, reloadEveryMs: RELOAD_EVERY_MS, onReload }) : undefined;
  const inbox = (input: SessionInput): void => {
    ports.inbox(input);
    knobWatchers.touch('manifest' in input ? input.manifest.component : input.component);
  };
  const modes = (component: string) =>
    new Map(ports.component(component)?.knobs.map(({ spec, mode }) => [spec.id, mode]));
  const sessions = new Sessions({ epoch, heartbeatIntervalMs, limits, inbox, modes, isTaken, observer, after, nowMs });
  const operators = new OperatorCalls((input) => ports.inbox(input), after, limits);
  const watchers = new Watchers(limits, observer);
  const knobWatchers = new KnobWatchers({ epoch, ports, limits, observer });
  const outcomes = new Outcomes(ports.outcomes);
  const taps = new Taps(ports.tap, limits);
  const health = new HealthState(
    [ControlService, TuningService, ...served.map(({ service }) => service)].map(({ typeName }) => typeName),
  );
  const tuning = tuningService(epoch, ports, operators, watchers, taps);

  /** One an address: what a peer may do depends on the way that it came, and a socket that has closed no longer tells. */
  const serverAt = (address: Address): Server => {
    const { requestsPerSecond, keepaliveMs, keepaliveTimeoutMs } = limits;
    const guard = new Guard({
      ...{ access, transport: transportOf(address), audit: ports.audit, observer, requestsPerSecond, nowMs },
    });
    const control: Handlers<typeof ControlService> = {
      connect: (call) => sessions.connect(call, guard.peerOf(call)),
      watchKnobs: (call) => knobWatchers.add(call, guard.peerOf(call)),
      reportOutcome: unary((request, call) => outcomes.report(request, guard.peerOf(call))),
    };
    const server = new Server({
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_concurrent_streams': MAX_STREAMS,
      // A peer that is gone without a word (a machine, a container) is found out, and its stream freed.
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
    });
    server.addService(serviceDefinition(ControlService), guard.around(ControlService, { ...control }));
    server.addService(serviceDefinition(TuningService), guard.around(TuningService, { ...tuning }));
    server.addService(serviceDefinition(Health), { ...health.handlers });
    server.addService(serviceDefinition(ServerReflection), {
      ...reflectionService([
        file_performance_optimizer_control_v1_control_service,
        file_performance_optimizer_control_v1_tuning_service,
        file_grpc_health_v1_health,
        file_grpc_reflection_v1_reflection,
        ...served.map(({ service }) => service.file),
      ]),
    });
    const { definition, handlers } = channelz();
    server.addService(definition, guard.aroundForeign(handlers));
    const reads: Reads = (call) => {
      const peer = guard.peerOf(call);
      return (component) => peer.role !== 'process' || peer.mayHold(component);
    };
    for (const { service, handlers } of served)
      server.addService(describedService(service), guard.aroundServed(service, handlers(reads)));
    return server;
  };

  const servers: Server[] = [];
  const listening: Listening[] = [];
  let callOffReload = (): void => {};
  const releaseAll = (): void => {
    for (const { release } of listening.splice(0)) release();
    callOffReload();
    certificates?.close();
  };
  const reload = (): void => {
    certificates?.reload();
    try {
      access.reload();
    } catch (error) {
      onReload(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const keepReloading = (): void => {
    callOffReload = after(RELOAD_EVERY_MS, () => {
      reload();
      keepReloading();
    });
  };

  return {
    get addresses() {
      return listening.map(({ address }) => address);
    },
    async start() {
      try {
        for (const address of addresses) {
          const server = serverAt(address);
          servers.push(server);
          listening.push(await listenOn(server, address, certificates));
        }
      } catch (error) {
        for (const server of servers.splice(0)) server.forceShutdown();
        releaseAll();
        throw error;
      }
      if (certificates !== undefined || access.hasFiles) keepReloading();
      health.serving = true;
    },
    async stop(deadline) {
      health.serving = false;
      const reason = 'the agent is stopping';
      // The file goes first, so that nobody new finds the way in.
      releaseAll();
      sessions.endAll(reason);
      operators.endAll(reason);
      watchers.endAll(reason);
      knobWatchers.endAll(reason);
      taps.endAll(reason);
      health.endAll(reason);
      await Promise.all(servers.splice(0).map((server) => shutDown(server, deadline)));
    },
    perform(effect) {
      switch (effect.kind) {
        case 'command':
        case 'renewal':
        case 'revoke':
          sessions.perform(effect);
          if (effect.kind !== 'renewal')
            knobWatchers.touch('command' in effect ? effect.command.component : effect.component);
          return;
        case 'reply':
          operators.reply(effect);
          // What was asked for may have been a mode, or a pin.
          if (effect.ok) {
            sessions.refreshModes();
            knobWatchers.touchAll();
          }
          return;
        case 'event':
          watchers.publish(effect.event);
          knobWatchers.touch(effect.event.component);
          // From here on the engine knows the session's knobs, and with them their modes.
          if (effect.event.type === 'session_opened') sessions.refreshModes();
          return;
      }
    },
    processes: () => sessions.processes(),
    reload,
  };
}

/** In order, and by force at the deadline. */
function shutDown(server: Server, deadline: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const force = (): void => {
      server.forceShutdown();
      resolve();
    };
    if (deadline.aborted) {
      force();
      return;
    }
    deadline.addEventListener('abort', force, { once: true });
    server.tryShutdown(() => {
      deadline.removeEventListener('abort', force);
      resolve();
    });
  });
}
