import type { Logger } from 'pino';
import { openJournal } from '../adapters/journal/sqlite-journal.ts';
import type { OptimizerConfig } from '../config/optimizer.ts';
import type { Config } from '../config/schema.ts';
import type { OptimizerEvent } from '../core/model.ts';
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

export interface AgentChoice {
  readonly config: Config;
  readonly state: OptimizerConfig['state'];
  readonly agent: RemoteAgentConfig | undefined;
  readonly log: Logger;
  readonly tell: (event: OptimizerEvent) => void;
}

/** The engine in this process, or an agent elsewhere where the configuration names one. */
export function chooseAgent({ config, state, agent, log, tell }: AgentChoice): Agent {
  if (agent === undefined) {
    const journal = state?.path === undefined ? undefined : openJournal({ ...config.state, log, nowMs: Date.now() });
    return new LocalAgent({ config, log, tell, journal });
  }
  const intervalMs = config.tuning.tick;
  const { horizon: horizonMs } = config.resources;
  return new RemoteAgent({ ...agent, exportIntervalMs: intervalMs, watchIntervalMs: intervalMs, horizonMs, log, tell });
}
