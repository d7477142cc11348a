import type { Recommendation } from '../core/advice/recommendation.ts';
import type { Analytics, HealthReport, OptimizationState, SystemFigures } from '../core/answers.ts';
import type { KnobMode, OperatorAction } from '../core/model.ts';
import type { PerformanceProfile } from '../core/profile/performance_profile.ts';
import type { ResourceSource } from '../core/resources.ts';
import type { FoundAnomaly, FoundPattern } from '../rpc/findings_codec.ts';
import type { AIComponent, ResourceAllocation } from './component.ts';
import type { ComponentKnob } from './component-knobs.ts';

/** What became of a request to the engine. */
export interface Reply {
  readonly ok: boolean;
  readonly message: string;
  /** Of what was proposed; absent where it was refused, or only recommended. */
  readonly proposalId?: string;
}

/** What is asked of the engine from here. */
export type AgentRequest = Extract<
  OperatorAction,
  { readonly action: 'set_mode' | 'propose' | 'approve' | 'optimize' }
>;

/** Where the engine runs: in this process, or in an agent elsewhere. Both answer alike. */
export interface Agent {
  start(): Promise<void>;
  /** Everything that was tuned is put back. */
  stop(): Promise<void>;
  /** The component is here, with its knobs; again: it is looked at anew. */
  open(component: AIComponent): Promise<void>;
  /** It is gone; what was tuned of it is put back. */
  close(component: string): void;
  /** Of a component that is here; undefined otherwise. */
  knobs(component: string): readonly ComponentKnob[] | undefined;
  /** At least one of its knobs holds a value that the engine has set. */
  isTuned(component: string): boolean;
  /** A request has finished. */
  record(component: string, durationMs: number, outcome: 'ok' | 'error', allocation: ResourceAllocation): void;
  /** Resolves when the engine knows all that has been recorded up to now. */
  settle(): Promise<void>;

  /** What is measured of the machine and of the components, as far as it is known here. */
  readonly source: ResourceSource;
  /** Brings what `source` says up to date. */
  refresh(): Promise<void>;
  /** How it is doing itself, for `monitoring.debugMetrics`. */
  readings(): Readonly<Record<string, unknown>>;
  /** Names of all components that the engine knows. */
  components(): Promise<readonly string[]>;
  profile(component: string): Promise<PerformanceProfile | undefined>;
  optimization(component: string): Promise<OptimizationState | undefined>;
  figures(): Promise<SystemFigures>;
  analytics(): Promise<Analytics>;
  patterns(component: string): Promise<readonly FoundPattern[]>;
  anomalies(component: string): Promise<readonly FoundAnomaly[]>;
  recommendations(): Promise<readonly Recommendation[]>;
  health(): Promise<HealthReport>;
  /** What the engine may do with each knob. */
  modes(component: string): Promise<ReadonlyMap<string, KnobMode>>;
  ask(request: AgentRequest, by: string): Promise<Reply>;
}
