import type { Logger } from 'pino';
import { openJournal } from '../adapters/journal/sqlite-journal.ts';
import { createLog } from '../adapters/telemetry/log.ts';
import type { OptimizerConfig } from '../config/optimizer.ts';
import type { Config } from '../config/schema.ts';
import type { OptimizerEvent } from '../core/model.ts';
import { parseAddress } from '../rpc/address.ts';
import type { ChannelAccess } from '../rpc/channel_access.ts';
import type { Agent } from './agent.ts';
import { LocalAgent } from './local-agent.ts';
import { RemoteAgent } from './remote-agent.ts';

/** An agent that runs elsewhere on this machine. */
export interface RemoteAgentConfig {
  /** Of its control channel: `unix:/path` or `host:port`. */
  readonly address: string;
  /** Where it asks for more than reaching its address. */
  readonly access?: ChannelAccess;
  /**
   * Of its receiver, `http://127.0.0.1:4317`: then `executeWithMonitoring` reports there. Without one the agent knows what the
   * process reports to it by itself.
   */
  readonly otlpEndpoint?: string;
}

/**
 * The keys of `config/agent.yaml`, each optional; durations in milliseconds, or as text such as `5s`. With `state.path` what is
 * learned outlives the process. With `agent` the engine runs there, and what concerns the engine is configured there. What
 * concerns a running agent alone (`receivers`, `upstream`, `control`, `web`, `telemetry`, `alerts`) means nothing here.
 */
export interface PerformanceOptimizerConfig extends OptimizerConfig {
  agent?: RemoteAgentConfig | undefined;
}

/** On standard error, and quiet unless asked for more: the process is not ours. */
export function guestLog({ debug, monitoring }: Config): Logger {
  const level = debug ? 'debug' : monitoring.debugMetrics ? 'info' : 'warn';
  return createLog({ level, version: 'embedded' });
}

export interface AgentChoice {
  readonly config: Config;
  readonly state: OptimizerConfig['state'];
  readonly agent: RemoteAgentConfig | undefined;
  readonly log: Logger;
}

/** Makes the engine in this process, or finds an agent elsewhere where the configuration names one. */
export function agentMaker({
  config,
  state,
  agent,
  log,
}: AgentChoice): (tell: (event: OptimizerEvent) => void) => Agent {
  if (agent === undefined) {
    return (tell) => {
      const journal = state?.path === undefined ? undefined : openJournal({ ...config.state, log, nowMs: Date.now() });
      return new LocalAgent({ config, log, tell, journal });
    };
  }
  // Refused here already where it cannot be meant.
  parseAddress(agent.address);
  const { tuning, resources } = config;
  const times = { exportIntervalMs: tuning.tick, watchIntervalMs: tuning.tick, horizonMs: resources.horizon };
  return (tell) => new RemoteAgent({ ...agent, ...times, log, tell });
}
