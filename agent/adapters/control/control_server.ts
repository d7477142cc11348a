import { Server } from '@grpc/grpc-js';
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
import { type Handlers, serviceDefinition } from '../../rpc/service_definition.ts';
import { HealthState } from './health.ts';
import { type Listening, listenOn, readAddresses } from './listen.ts';
import { OperatorCalls } from './operator_calls.ts';
import {
  type ControlEffect,
  type ControlLimits,
  type ControlObserver,
  type ControlPorts,
  DEFAULT_CONTROL_LIMITS,
} from './ports.ts';
import { reflectionService } from './reflection.ts';
import { Sessions } from './sessions.ts';
import { Taps } from './taps.ts';
import { type After, afterInRealTime } from './timer.ts';
import { tuningService } from './tuning_service.ts';
import { Watchers } from './watchers.ts';

/** The largest message taken. A manifest of 256 long-winded knobs is half of it. */
const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024;

export interface ControlServerOptions {
  /** `unix:/path` or `host:port`; loopback only. */
  readonly listen: readonly string[];
  readonly epoch: number;
  readonly heartbeatIntervalMs: number;
  readonly limits?: ControlLimits;
  readonly ports: ControlPorts;
  readonly observer: ControlObserver;
  /** For tests; real time otherwise. */
  readonly after?: After;
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
}

export function createControlServer(options: ControlServerOptions): ControlServer {
  const { epoch, heartbeatIntervalMs, ports, observer } = options;
  const limits = options.limits ?? DEFAULT_CONTROL_LIMITS;
  const after = options.after ?? afterInRealTime;
  // Refused here already: a configuration that would open the agent to the world must not even begin to start.
  const addresses = readAddresses(options.listen);
  const sessions = new Sessions({ epoch, heartbeatIntervalMs, limits, ports, observer, after });
  const operators = new OperatorCalls((input) => ports.inbox(input), after, limits);
  const watchers = new Watchers(limits, observer);
  const taps = new Taps(ports.tap, limits);
  const health = new HealthState([ControlService.typeName, TuningService.typeName]);
  const control: Handlers<typeof ControlService> = { connect: (call) => sessions.connect(call) };
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    // A peer that is gone without a word (a machine, a container) is found out, and its stream freed.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  server.addService(serviceDefinition(ControlService), { ...control });
  server.addService(serviceDefinition(TuningService), { ...tuningService(epoch, ports, operators, watchers, taps) });
  server.addService(serviceDefinition(Health), { ...health.handlers });
  server.addService(serviceDefinition(ServerReflection), {
    ...reflectionService([
      file_performance_optimizer_control_v1_control_service,
      file_performance_optimizer_control_v1_tuning_service,
      file_grpc_health_v1_health,
      file_grpc_reflection_v1_reflection,
    ]),
  });

  const listening: Listening[] = [];
  const releaseAll = (): void => {
    for (const { release } of listening.splice(0)) release();
  };

  return {
    get addresses() {
      return listening.map(({ address }) => address);
    },
    async start() {
      try {
        for (const address of addresses) listening.push(await listenOn(server, address));
      } catch (error) {
        server.forceShutdown();
        releaseAll();
        throw error;
      }
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
      taps.endAll(reason);
      health.endAll(reason);
      await new Promise<void>((resolve) => {
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
    },
    perform(effect) {
      switch (effect.kind) {
        case 'command':
        case 'renewal':
        case 'revoke':
          sessions.perform(effect);
          return;
        case 'reply':
          operators.reply(effect);
          // What was asked for may have been a mode.
          if (effect.ok) sessions.refreshModes();
          return;
        case 'event':
          watchers.publish(effect.event);
          // From here on the engine knows the session's knobs, and with them their modes.
          if (effect.event.type === 'session_opened') sessions.refreshModes();
          return;
      }
    },
  };
}
