import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { engineSettings, healthThresholds } from '../../agent/config/engine.ts';
import { defaultConfig, parseConfig } from '../../agent/config/load.ts';
import { ConfigError, type OptimizerConfig, optimizerConfig } from '../../agent/config/optimizer.ts';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';

/** As the design document writes it. */
const written: OptimizerConfig = {
  monitoring: { enabled: true, interval: 5000, windowSize: 100, dataRetention: 86400000 },
  optimization: {
    enabled: true,
    aggressiveness: 0.5,
    learningRate: 0.1,
    adaptationThreshold: 0.8,
    rollbackEnabled: true,
  },
  analytics: { enabled: true, predictiveAnalysis: true, patternRecognition: true, anomalyDetection: true },
  thresholds: {
    responseTime: { excellent: 10, good: 50, acceptable: 200, poor: 1000 },
    throughput: { minimum: 10, target: 100, maximum: 1000 },
    resourceUsage: { cpu: 80, memory: 85, gpu: 90 },
  },
};

function refusal(given: OptimizerConfig): ConfigError {
  try {
    optimizerConfig(given);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('a configuration object', () => {
  test("with the design document's figures is the default, and so is none at all", () => {
    expect(optimizerConfig(written)).toEqual(defaultConfig());
    expect(optimizerConfig()).toEqual(defaultConfig());
    expect(engineSettings(optimizerConfig(written))).toEqual(DEFAULT_ENGINE_SETTINGS);
    expect(healthThresholds(optimizerConfig(written))).toEqual(DEFAULT_HEALTH_THRESHOLDS);
  });

  test('may be spread and changed as the document does', () => {
    const debugging: OptimizerConfig = {
      ...written,
      debug: true,
      monitoring: { ...written.monitoring, debugMetrics: true },
    };
    const { debug, monitoring } = optimizerConfig(debugging);
    expect({ debug, monitoring }).toEqual({
      debug: true,
      monitoring: { enabled: true, interval: 5000, windowSize: 100, dataRetention: 86_400_000, debugMetrics: true },
    });
  });

  test('is not changed, and what comes out is frozen', () => {
    const given = structuredClone(written);
    const config = optimizerConfig(given);
    expect(given).toEqual(written);
    expect(Object.isFrozen(config.monitoring)).toBe(true);
  });

  test('that is wrong is refused whole, with every path, value and what is allowed', () => {
    const { message, problems } = refusal({
      monitoring: { interval: -5, windowSize: Number.NaN },
      optimization: { aggressiveness: 2 },
      thresholds: { responseTime: { excellent: '1 parsec' } },
      ...JSON.parse('{ "analytics": { "enable": false } }'),
    });
    expect(message.split('\n')).toEqual([
      'PerformanceOptimizerConfig: monitoring.interval: -5 is not allowed; allowed: 100ms to 1h, as "10s" or milliseconds',
      'PerformanceOptimizerConfig: monitoring.windowSize: NaN is not allowed; allowed: a whole number from 2 to 10000',
      'PerformanceOptimizerConfig: optimization.aggressiveness: 2 is not allowed; allowed: a number from 0 to 1',
      expect.stringMatching(
        /^PerformanceOptimizerConfig: analytics\.enable: unknown key; did you mean "enabled"\? allowed keys: enabled, /,
      ),
      'PerformanceOptimizerConfig: thresholds.responseTime.excellent: "1 parsec" is not allowed; allowed: 0.001ms to 1d, as "10s" or milliseconds',
    ]);
    expect(problems).toHaveLength(5);
  });

  test('whose keys do not fit together is refused', () => {
    expect(refusal({ thresholds: { responseTime: { good: 500 } } }).message).toBe(
      'PerformanceOptimizerConfig: thresholds.responseTime: must increase: excellent < good < acceptable < poor',
    );
  });

  test('means what the same text means in a file', () => {
    const monitoring = fc.record({
      enabled: fc.boolean(),
      interval: fc.integer({ min: 0, max: 4_000_000 }),
      windowSize: fc.integer({ min: 0, max: 11_000 }),
    });
    fc.assert(
      fc.property(
        monitoring,
        fc.double({ min: -0.5, max: 1.5, noNaN: true }).map((ratio) => ratio + 0),
        (given, aggressiveness) => {
          const object: OptimizerConfig = { monitoring: given, optimization: { aggressiveness } };
          const file = parseConfig(JSON.stringify(object), {});
          if (file.ok) expect({ ...optimizerConfig(object), control: null }).toEqual({ ...file.config, control: null });
          else expect(refusal(object).problems.map(({ path }) => path)).toEqual(file.problems.map(({ path }) => path));
        },
      ),
    );
  });
});

test('thresholds reach the core in its units, a component with its own error limit', () => {
  const config = optimizerConfig({
    thresholds: { responseTime: { poor: '2s' }, throughput: { maximum: 5000 }, resourceUsage: { gpu: 70 } },
    components: { chat: { limits: { errorRatio: 0.001 } } },
    tuning: { limits: { errorRatio: 0.05 } },
  });
  expect(healthThresholds(config)).toEqual({
    responseTimeMs: { excellent: 10, good: 50, acceptable: 200, poor: 2_000 },
    throughputPerSecond: { minimum: 10, target: 100, maximum: 5_000 },
    resourcePercent: { cpu: 80, memory: 85, gpu: 70 },
    errorRatio: 0.05,
  });
  expect(healthThresholds(config, 'chat').errorRatio).toBe(0.001);
});
