import type { Severity } from './detect/anomaly.ts';
import { DEFAULT_HEALTH_THRESHOLDS, type HealthThresholds } from './health.ts';
import type { KnobMode, Tier } from './model.ts';

/** What a tier may cost. */
export interface TierPolicy {
  /** The most that a knob's value is allowed to be used for without being told otherwise. */
  readonly mode: KnobMode;
  /** Largest single step of a knob, as a share of its range (log range for log knobs). 0: never moved by the tuner. */
  readonly maxStepRatio: number;
  /** Harm wallet: mean objective given up by exploring, as a share of the incumbent's, that the owner tolerates. */
  readonly harmRatio: number;
}

/** What is found out about the profiles besides the profiles themselves. */
export interface AnalyticsSettings {
  readonly anomalyDetection: boolean;
  readonly patternRecognition: boolean;
  readonly predictiveAnalysis: boolean;
  /** False alerts that are tolerated a day on one series. */
  readonly falseAlertsPerDay: number;
  /** While an anomaly at least this severe is open, nothing is tried. */
  readonly freezeAt: Severity | 'never';
  /** Series watched at most; further ones are counted. */
  readonly maxSeries: number;
}

/** Everything the engine needs to know, complete and frozen; made by `config/` from YAML. */
export interface EngineSettings {
  /** Time between ticks; the engine decides on ticks only. */
  readonly tickMs: number;

  /** A measurement window closes when it covers `minMs` of telemetry and `minRequests`, or `maxMs` at the latest. */
  readonly window: { readonly minMs: number; readonly maxMs: number; readonly minRequests: number };

  /** Every tuned value lives this long without a renewal. The agent renews three times per `ttlMs`. */
  readonly lease: { readonly ttlMs: number; readonly applyDeadlineMs: number; readonly maxResends: number };

  /**
   * The objective of a window, minimised: `y = Σ weight · log(signal)`; `errorRate` enters as `−log(1 − errorRatio)`
   * and `throughput` and `reward` with a minus sign. Log units: a change of −0.1 is about 10 % better.
   */
  readonly objective: {
    readonly responseTimeMean: number;
    readonly responseTimeP95: number;
    readonly throughput: number;
    readonly errorRate: number;
    /** Of what the process says its work was worth (ReportOutcome); more is better. Absent: 0. */
    readonly reward?: number;
  };

  /** Hard limits; crossing one during an experiment restores the incumbent at once. */
  readonly limits: { readonly errorRatio: number; readonly responseTimeMsP95?: number };

  /** With an SLO set, its burn rate is a rollback trigger (14.4 on 1 h and 5 min; 6 on 6 h and 30 min). */
  readonly slo?: { readonly responseTimeMs: number; readonly targetRatio: number };

  readonly proof: {
    /** Of all changes ever kept, the share that may be false (online false discovery rate). */
    readonly alpha: number;
    readonly maxBlocks: number;
    /** Smallest relative improvement worth keeping. */
    readonly minimumEffect: number;
  };

  readonly probe: {
    /** Half the distance between the two points of a probe, as a share of the knob's range. */
    readonly perturbation: number;
    /** Probe pairs between two proofs. */
    readonly pairsPerProof: number;
  };

  readonly optimization: {
    readonly enabled: boolean;
    /** 0 to 1: scales the step and the harm a tier allows; 0.5 is the tier's own figure, 1 doubles it (capped). */
    readonly aggressiveness: number;
    /** Gain of a probing step. */
    readonly learningRate: number;
    /** Confidence that a learned rule needs before it is used. */
    readonly adaptationThreshold: number;
    /** Off: what could not be taken back is not tried unattended: knobs in mode `auto` ask for approval instead. */
    readonly rollbackEnabled: boolean;
  };

  /** Windows to wait after a failed trial; doubles with each failure in a row. */
  readonly cooldown: { readonly windows: number; readonly maxWindows: number };

  readonly tiers: Readonly<Record<Tier, TierPolicy>>;

  /** What the configuration says of single components; the session's own manifest fills the rest. */
  readonly components: Readonly<Record<string, ComponentPolicy>>;

  /** What counts as good, for the performance score. */
  readonly thresholds: HealthThresholds;

  readonly profile: {
    /** Length of one profile interval. */
    readonly intervalMs: number;
    /** Number of intervals kept. */
    readonly windowSize: number;
  };

  readonly analytics: AnalyticsSettings;

  /** Most components and series kept; what is beyond is dropped and counted. */
  readonly capacity: { readonly maxComponents: number; readonly maxSeries: number };
}

export interface ComponentPolicy {
  readonly tier?: Tier;
  readonly mode?: KnobMode;
  readonly knobs?: Readonly<Record<string, { readonly mode?: KnobMode; readonly min?: number; readonly max?: number }>>;
  readonly objective?: Partial<EngineSettings['objective']>;
  readonly limits?: Partial<EngineSettings['limits']>;
}

/** The defaults that `config/agent.yaml` documents, line by line. */
export const DEFAULT_ENGINE_SETTINGS: EngineSettings = {
  tickMs: 1_000,
  window: { minMs: 10_000, maxMs: 60_000, minRequests: 200 },
  lease: { ttlMs: 15_000, applyDeadlineMs: 5_000, maxResends: 3 },
  objective: { responseTimeMean: 0.5, responseTimeP95: 0.5, throughput: 0, errorRate: 10, reward: 0 },
  limits: { errorRatio: 0.02 },
  proof: { alpha: 0.05, maxBlocks: 24, minimumEffect: 0.015 },
  probe: { perturbation: 0.06, pairsPerProof: 8 },
  optimization: {
    enabled: true,
    aggressiveness: 0.5,
    learningRate: 0.1,
    adaptationThreshold: 0.8,
    rollbackEnabled: true,
  },
  cooldown: { windows: 10, maxWindows: 640 },
  tiers: {
    critical: { mode: 'recommend', maxStepRatio: 0, harmRatio: 0 },
    stable: { mode: 'auto', maxStepRatio: 0.02, harmRatio: 0.0025 },
    advanced: { mode: 'auto', maxStepRatio: 0.05, harmRatio: 0.01 },
    experimental: { mode: 'auto', maxStepRatio: 0.1, harmRatio: 0.03 },
    research: { mode: 'auto', maxStepRatio: 0.2, harmRatio: 0.05 },
  },
  components: {},
  thresholds: DEFAULT_HEALTH_THRESHOLDS,
  profile: { intervalMs: 5_000, windowSize: 100 },
  analytics: {
    anomalyDetection: true,
    patternRecognition: true,
    predictiveAnalysis: true,
    falseAlertsPerDay: 0.2,
    freezeAt: 'medium',
    maxSeries: 2_000,
  },
  capacity: { maxComponents: 64, maxSeries: 10_000 },
};
