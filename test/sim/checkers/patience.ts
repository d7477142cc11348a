import type { EngineSettings } from '../../../agent/core/settings.ts';
import type { Scenario } from '../scenario.ts';

/** How long what the agent knows may lag behind what is. */
export interface Patience {
  /** A difference between belief and fact that lasts longer is an error, not news under way. */
  readonly staleMs: number;
  /** The longest that one unproven value may stay in force. */
  readonly unprovenMs: number;
  readonly trialMs: number;
}

/** Derived from what the settings allow, with the scenario's delays; generous by a factor of about two. */
export function patienceFor(scenario: Scenario, settings: EngineSettings): Patience {
  const { lease, window, proof, tickMs } = settings;
  const { control, client, partitions, agent } = scenario.faults;
  const delayMs = control.delayMs[1] * 12 + client.applyMs[1];
  const staleMs = lease.ttlMs + lease.ttlMs / 3 + 2 * tickMs + 2 * delayMs;
  const settleMs = scenario.knobs.reduce((most, knob) => Math.max(most, knob.settleMs), 0);
  const windowMs = window.maxMs + settleMs + 2 * scenario.telemetry.intervalMs + lease.applyDeadlineMs + 2 * tickMs;
  const outageMs = Math.max(partitions?.downMs[1] ?? 0, agent?.downMs[1] ?? 0, 3 * scenario.restartMs);
  return {
    staleMs,
    unprovenMs: 4 * windowMs + staleMs + lease.ttlMs,
    trialMs: 2 * ((4 * proof.maxBlocks + 8) * windowMs + outageMs + staleMs),
  };
}
