// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are about this very syntax.
import { readdirSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { engineSettings, signalMappings } from '../../agent/config/engine.ts';
import { defaultConfig, loadConfig, parseConfig } from '../../agent/config/load.ts';
import { keysOf, outline } from '../../agent/config/outline.ts';
import { renderDefaults, renderJsonSchema } from '../../agent/config/reference.ts';
import { resourceSettings } from '../../agent/config/resource-settings.ts';
import { exportsToItself } from '../../agent/config/rules.ts';
import { type Config, configSchema } from '../../agent/config/schema.ts';
import { DEFAULT_HEALTH_THRESHOLDS } from '../../agent/core/health.ts';
import { DEFAULT_RESOURCE_SETTINGS } from '../../agent/core/resources.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../agent/core/settings.ts';
import { DEFAULT_MAPPINGS } from '../../agent/core/signals.ts';
import { defaultSocketPath } from '../../agent/rpc/address.ts';

function accepted(text: string, environment = {}): Config {
  const loaded = parseConfig(text, environment, 'agent.yaml');
  if (!loaded.ok) throw new Error(loaded.message);
  return loaded.config;
}

function refusal(text: string, environment = {}): string {
  const loaded = parseConfig(text, environment, 'agent.yaml');
  return loaded.ok ? '' : loaded.message;
}

describe('config/agent.yaml', () => {
  const file = readFileSync('config/agent.yaml', 'utf8');

  test('holds every default', () => {
    expect(accepted(file)).toEqual(defaultConfig());
  });

  test('and config/schema.json are what `npm run gen` writes', () => {
    expect(file).toBe(renderDefaults());
    expect(readFileSync('config/schema.json', 'utf8')).toBe(renderJsonSchema());
  });

  test('passes the JSON Schema, which refuses an unknown key', () => {
    const validate = new Ajv2020({ strict: false }).compile(JSON.parse(renderJsonSchema()));
    expect(validate(parse(file))).toBe(true);
    expect(validate({ monitoring: { intervall: 1 } })).toBe(false);
  });

  test('says something about every key', () => {
    const undocumented = (schema: Parameters<typeof keysOf>[0], path: string): string[] =>
      keysOf(schema).flatMap(([key, child]) => [
        ...(outline(child).notes.description === undefined ? [path + key] : []),
        ...undocumented(child, `${path}${key}.`),
      ]);
    expect(undocumented(configSchema, '')).toEqual([]);
  });

  test('shows examples that are valid', () => {
    const examples = (schema: Parameters<typeof keysOf>[0]): object[] =>
      keysOf(schema).flatMap(([key, child]) => {
        const { example } = outline(child).notes;
        return [
          ...(example === undefined ? [] : [{ [key]: example }]),
          ...examples(child).map((inner) => ({ [key]: inner })),
        ];
      });
    const found = examples(configSchema);
    expect(found.length).toBeGreaterThan(0);
    for (const example of found) expect(() => configSchema.parse(example)).not.toThrow();
  });
});

test.each(readdirSync('config/examples'))('config/examples/%s is valid, and every key in it has an effect', (name) => {
  const loaded = loadConfig(`config/examples/${name}`, {});
  expect(loaded.ok ? loaded.notes : loaded.message).toEqual([]);
});

describe('defaults', () => {
  test('are the engine settings that the core documents', () => {
    expect(engineSettings(defaultConfig())).toEqual(DEFAULT_ENGINE_SETTINGS);
  });

  test('are complete and frozen to the leaves', () => {
    const thawed = (value: unknown): boolean =>
      typeof value === 'object' && value !== null && (!Object.isFrozen(value) || Object.values(value).some(thawed));
    expect(thawed(accepted('components: { a: { knobs: { b: { min: 1 } } } }'))).toBe(false);
  });

  test("hold the design document's figures", () => {
    const { monitoring, optimization, thresholds } = defaultConfig();
    expect(monitoring).toMatchObject({ enabled: true, interval: 5000, windowSize: 100, dataRetention: 86_400_000 });
    expect(optimization).toEqual({
      enabled: true,
      aggressiveness: 0.5,
      learningRate: 0.1,
      adaptationThreshold: 0.8,
      rollbackEnabled: true,
    });
    expect(thresholds.responseTime).toEqual({ excellent: 10, good: 50, acceptable: 200, poor: 1000 });
    expect(thresholds.resourceUsage).toEqual({ cpu: 80, memory: 85, gpu: 90 });
  });

  test('a file that sets one nested key keeps its siblings', () => {
    const config = accepted('tuning: { window: { minRequests: 500 } }');
    expect(config.tuning.window).toEqual({ min: 10_000, max: 60_000, minRequests: 500 });
  });
});

describe('what is refused', () => {
  test('every problem at once, each with line, path, value and what is allowed', () => {
    const message = refusal(
      [
        'monitoring:',
        '  interval: -5',
        '  windowsize: 3',
        'optimization: on',
        'components:',
        '  embedder: { tier: gold }',
        'tuning:',
        '  slo: { targetRatio: 0.99 }',
      ].join('\n'),
    );
    const tiers = 'critical, stable, advanced, experimental, research';
    expect(message.split('\n')).toEqual([
      'agent.yaml:2: monitoring.interval: -5 is not allowed; allowed: 100ms to 1h, as "10s" or milliseconds',
      'agent.yaml:3: monitoring.windowsize: unknown key; did you mean "windowSize"? allowed keys: enabled, interval, windowSize, dataRetention, debugMetrics',
      'agent.yaml:4: optimization: "on" is not allowed; allowed: a mapping with the keys enabled, aggressiveness, learningRate, adaptationThreshold, rollbackEnabled',
      `agent.yaml:6: components.embedder.tier: "gold" is not allowed; allowed: one of ${tiers}`,
      'agent.yaml:8: tuning.slo.responseTime: is missing; allowed: 0.001ms to 1d, as "10s" or milliseconds',
    ]);
  });

  test.each([
    ['tuning: { window: { min: 5m } }', 'agent.yaml:1: tuning.window.min: must not be above tuning.window.max'],
    ['control: { leaseTtl: 6s }', 'control.leaseTtl: must be at least twice control.heartbeatInterval'],
    ['control: { address: "0.0.0.0:4319" }', 'control.address: can be reached from other machines: give control.tls'],
    ['control: { address: "0.0.0.0:4319", tls: { cert: a, key: b } }', 'control.tls.clientCa: is missing'],
    [
      'control: { access: { operators: [{ name: eve, tokenFile: a, certificate: b }] } }',
      'control.access.operators.0: must have exactly one of token, tokenFile and certificate',
    ],
    [
      'control: { access: { operators: [{ name: eve, tokenFile: a }], processes: [{ component: e, tokenFile: a }] } }',
      'control.access.processes.0: has the credential of an operator',
    ],
    ['control: { access: { operators: [{ name: eve, token: sesame }] } }', 'token: what stands there is not allowed'],
    ['control: { address: "localhost:4317" }', 'is the same as receivers.otlp.grpc.address'],
    ['control: { socket: here.sock }', 'control.socket: "here.sock" is not allowed; allowed: auto, an absolute path'],
    ['control: { address: null, socket: null }', 'no process could connect'],
    ['tuning: { objective: { responseTimeMean: 0, responseTimeP95: 0, errorRate: 0 } }', 'every weight is 0'],
    ['thresholds: { responseTime: { good: 5 } }', 'thresholds.responseTime: must increase'],
    ['thresholds: { throughput: { target: 5 } }', 'thresholds.throughput: must not decrease'],
    ['resources: { cgroup: { enabled: true } }', 'resources.cgroup.root: is missing'],
    ['components: { a: { resources: { cgroup: ../b } } }', 'components.a.resources.cgroup: "../b" is not allowed'],
    ['components: { a: { resources: { cgroup: x/./b } } }', 'allowed: a relative path without "." or ".."'],
    [
      'components: { a: { resources: { cgroup: x } }, b: { resources: { cgroup: x } } }',
      'components.b.resources.cgroup: is that of a already',
    ],
    [
      'components: { a: { resources: { cpu: { min: 2, max: 1 } } } }',
      'components.a.resources.cpu.min: must not be above',
    ],
    ['components: { a: { knobs: { b: { min: 2, max: 1 } } } }', 'components.a.knobs.b.min: must not be above max'],
    ['receivers: { otlp: { grpc: { maxMessageBytes: 512MiB } } }', 'such a request could never be admitted'],
    ['telemetry: { endpoint: "http://localhost:4317" }', "telemetry.endpoint: is this agent's own receiver"],
    ['state: { maintenance: "every now and then" }', 'state.maintenance: "every now and then" is not allowed'],
    ['receivers: { otlp: { grpc: { address: "localhost:99999" } } }', 'receivers.otlp.grpc.address: "localhost:99999"'],
    [
      'signals: [{ metric: a, signal: latency }]',
      `signals.0.signal: "latency" is not allowed; allowed: one of responseTime`,
    ],
    [
      'signals: [{ metric: a, signal: responseTime, unit: parsec }]',
      'signals.0.unit: "parsec" is not allowed; allowed: a UCUM',
    ],
    ['signals: [{ metric: a, signal: tokens, direction: up }]', 'signals.0.direction: "up" is not allowed'],
    [
      'signals: [{ metric: a, signal: requests, outcom: ok }]',
      'signals.0.outcom: unknown key; did you mean "outcome"?',
    ],
    ['signals: [{ signal: requests }]', 'signals.0.metric: is missing; allowed: a metric name'],
    ['a: 1\na: 2', 'agent.yaml:2: not valid YAML: Map keys must be unique'],
    ['- 1', 'a mapping or a list is not allowed; allowed: a mapping with the keys monitoring,'],
    ['__proto__: { debug: true }', '__proto__: unknown key'],
    [
      'a: &a [1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]',
      'not usable YAML',
    ],
  ])('%s', (text, expected) => {
    expect(refusal(text)).toContain(expected);
  });

  test('a file that is not there', () => {
    const loaded = loadConfig('/nonexistent/agent.yaml', {});
    expect(loaded).toMatchObject({
      ok: false,
      message: expect.stringContaining('/nonexistent/agent.yaml: cannot be read'),
    });
  });

  test('anything at all, without throwing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        const loaded = parseConfig(text, {});
        expect(loaded.ok || loaded.problems.length > 0).toBe(true);
      }),
    );
  });
});

describe('${env:…}', () => {
  test('becomes a number or a truth value where it stands alone and unquoted', () => {
    const config = accepted('monitoring:\n  windowSize: ${env:SIZE}\n  enabled: ${env:ON:-false}\n', { SIZE: '42' });
    expect(config.monitoring).toMatchObject({ windowSize: 42, enabled: false });
  });

  test('within a text, in quotes, and escaped', () => {
    const config = accepted('state:\n  path: "${env:DIR}/$${env:DIR}.db"\n', { DIR: '/var' });
    expect(config.state.path).toBe('/var/${env:DIR}.db');
  });

  test('an unset variable is a problem that names it, its line and the way out', () => {
    expect(refusal('debug: true\nstate:\n  path: ${env:NOWHERE}\n')).toBe(
      'agent.yaml:3: ${env:NOWHERE}: the environment variable NOWHERE is not set; set it, or write ${env:NOWHERE:-fallback}',
    );
  });

  test('never brings in a key, whatever the variable holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (value) => {
        const loaded = parseConfig('state:\n  path: ${env:V}\n', { V: value });
        const same = { ...defaultConfig(), state: { ...defaultConfig().state, path: value } };
        if (loaded.ok) expect(loaded.config).toEqual(same);
        else expect(loaded.problems.map((problem) => problem.path)).toEqual(['state.path']);
      }),
    );
  });

  test('its value is not printed in a message', () => {
    expect(refusal('telemetry:\n  endpoint: ${env:SECRET}\n', { SECRET: 'hunter2' })).not.toContain('hunter2');
  });

  test('in braces gets a hint', () => {
    expect(refusal('state: { path: ${env:X} }')).toContain('put quotes around');
  });
});

test('analytics: the whole switch turns off each part, and each part can be off alone', () => {
  const parts = ['anomalyDetection', 'patternRecognition', 'predictiveAnalysis'] as const;
  const on = (yaml: string): readonly string[] => {
    const { analytics } = engineSettings(accepted(yaml));
    return parts.filter((part) => analytics[part]);
  };
  expect(on('')).toEqual(parts);
  expect(on('analytics: { enabled: false }')).toEqual([]);
  for (const part of parts) expect(on(`analytics: { ${part}: false }`)).toEqual(parts.filter((each) => each !== part));
  const settings = engineSettings(accepted('analytics: { falseAlertsPerDay: 1, freezeAt: never, maxSeries: 9 }'));
  expect(settings.analytics).toMatchObject({ falseAlertsPerDay: 1, freezeAt: 'never', maxSeries: 9 });
});

describe('own telemetry', () => {
  test('takes its endpoint from the environment where the file has none', () => {
    expect(accepted('', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4317' }).telemetry.endpoint).toBe(
      'http://collector:4317',
    );
    expect(
      accepted('telemetry: { endpoint: "http://mine:1" }', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:2' }).telemetry
        .endpoint,
    ).toBe('http://mine:1');
  });

  test('stays off, and says so, where the inherited endpoint is the agent itself', () => {
    const loaded = parseConfig('', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4317' });
    expect(loaded).toMatchObject({ ok: true, config: { telemetry: { endpoint: null } } });
    expect(loaded.ok && loaded.notes).toEqual([
      "OTEL_EXPORTER_OTLP_ENDPOINT points at this agent's own receiver; own telemetry stays off",
    ]);
  });

  test.each([
    ['http://127.0.0.1:4317', '127.0.0.1:4317', true],
    ['http://localhost:4317', '0.0.0.0:4317', true],
    ['http://[::1]:4317', '[::]:4317', true],
    ['http://collector:4317', '0.0.0.0:4317', false],
    ['http://localhost:4318', '127.0.0.1:4317', false],
    ['http://localhost:4317', 'unix:/run/otlp.sock', false],
  ])('%s to a receiver at %s: itself is %s', (endpoint, address, itself) => {
    expect(exportsToItself(endpoint, address)).toBe(itself);
  });
});

test('signal rows come before the defaults, complete', () => {
  const config = accepted('signals: [{ metric: "my_*", signal: responseTime, unit: ms, where: { kind: [a, ""] } }]');
  expect(signalMappings(config)).toEqual([
    { metric: 'my_*', signal: 'responseTime', unit: 'ms', where: { kind: ['a', ''] }, rank: 0 },
    ...DEFAULT_MAPPINGS,
  ]);
});

test('the socket is where this user’s clients look, a path, or none', () => {
  const socket = (text: string, environment = {}) => accepted(text, environment).control.socket;
  expect(socket('', { XDG_RUNTIME_DIR: '/run/user/7' })).toBe(defaultSocketPath('/run/user/7', 0));
  expect(socket('')).toBe(defaultSocketPath(undefined, userInfo().uid));
  expect(socket('control: { socket: /run/p.sock }')).toBe('/run/p.sock');
  expect(socket('control: { socket: null }')).toBeNull();
});

test('shares of the machine reach the resource manager in its units', () => {
  const config = accepted(
    'resources: { headroom: 0.5, limits: { memory: 2GiB, cpu: 3 } }\ncomponents: { a: { resources: { priority: 80, memory: { min: 512MiB }, gpu: { max: 40 } } } }',
  );
  expect(resourceSettings(config, DEFAULT_HEALTH_THRESHOLDS)).toEqual({
    thresholds: DEFAULT_HEALTH_THRESHOLDS,
    headroomRatio: 0.5,
    pressureRatio: 0.1,
    limits: { cpu: 3, memory: 2_048 },
    components: { a: { priority: 80, bounds: { memory: { min: 512 }, gpu: { max: 40 } } } },
  });
  expect(engineSettings(config).components).toEqual({ a: {} });
  expect(resourceSettings(defaultConfig(), DEFAULT_HEALTH_THRESHOLDS)).toEqual(DEFAULT_RESOURCE_SETTINGS);
});

test('a component’s policy reaches the engine in its units', () => {
  const config = accepted(
    'components: { embedder: { tier: stable, knobs: { b: { mode: approve, max: 8 } }, limits: { responseTimeP95: 1.5s } } }',
  );
  expect(engineSettings(config).components).toEqual({
    embedder: { tier: 'stable', knobs: { b: { mode: 'approve', max: 8 } }, limits: { responseTimeMsP95: 1500 } },
  });
  expect(engineSettings(accepted('monitoring: { enabled: false }')).optimization.enabled).toBe(false);
});
