import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../agent/config/load.ts';
import type { Config } from '../../agent/config/schema.ts';

function targets(text: string): Config['receivers']['prometheus']['targets'] {
  const loaded = parseConfig(text, { TOKEN: 'abc' }, 'agent.yaml');
  if (!loaded.ok) throw new Error(loaded.message);
  return loaded.config.receivers.prometheus.targets;
}

function refusal(target: string): string {
  const loaded = parseConfig(`receivers: { prometheus: { targets: [${target}] } }`, {}, 'agent.yaml');
  return loaded.ok ? '' : loaded.message;
}

describe('receivers.prometheus.targets', () => {
  it('needs an address and nothing else', () => {
    expect(targets('')).toEqual([]);
    expect(targets('receivers: { prometheus: { targets: [{ url: "http://127.0.0.1:8000/metrics" }] } }')).toEqual([
      {
        ...{ url: 'http://127.0.0.1:8000/metrics', interval: 5_000, timeout: 3_000 },
        ...{ maxBytes: 8 * 1024 ** 2, maxSeries: 10_000 },
      },
    ]);
  });

  it('takes everything that a page may need', () => {
    const [target] = targets(`
receivers:
  prometheus:
    targets:
      - url: https://gpu.internal/metrics?collect=all
        component: null
        interval: 10s
        timeout: 500ms
        maxBytes: 1MiB
        maxSeries: 50
        headers:
          X-Api-Key: \${env:TOKEN}
        labels: { zone: a }
`);
    expect(target).toMatchObject({
      ...{ component: null, interval: 10_000, timeout: 500, maxBytes: 1024 ** 2, maxSeries: 50 },
      ...{ headers: { 'X-Api-Key': 'abc' }, labels: { zone: 'a' } },
    });
  });

  it.each([
    ['{ url: localhost:8000 }', 'url', 'http://host:port/path'],
    ['{ url: "ftp://a/b" }', 'url', 'http://host:port/path'],
    ['{ component: a }', 'url', 'http://host:port/path'],
    ['{ url: "http://a/m", interval: 10ms }', 'interval', '100ms to 1h'],
    ['{ url: "http://a/m", interval: 1s, timeout: 2s }', 'timeout', 'must not be above interval'],
    ['{ url: "http://a/m" }, { url: "http://a/m" }', 'targets.1.url', 'listed twice'],
    ['{ url: "http://a/m", component: "" }', 'component', 'a component name or null'],
    ['{ url: "http://a/m", headers: { "bad name": x } }', 'headers', 'bad name'],
    ['{ url: "http://a/m", headers: { Authorization: x }, bearerTokenFile: /t }', 'bearerTokenFile', 'give one'],
    ['{ url: "http://a/m", intervall: 1s }', 'intervall', 'interval'],
  ])('%s is refused', (target, where, why) => {
    expect(refusal(target)).toContain(where);
    expect(refusal(target)).toContain(why);
  });
});
