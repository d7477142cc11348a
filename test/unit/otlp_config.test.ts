import { describe, expect, it } from 'vitest';
import { memoryCeiling } from '../../agent/adapters/otlp/memory_gate.ts';
import { parseConfig } from '../../agent/config/load.ts';

const problems = (otlp: string, environment = {}): string => {
  const loaded = parseConfig(`receivers: { otlp: ${otlp} }`, environment);
  return loaded.ok ? '' : loaded.message;
};

describe('receivers.otlp', () => {
  it('refuses an address beyond loopback without encryption, unless it is meant', () => {
    for (const transport of ['grpc', 'http']) {
      const of = (keys: string) => problems(`{ ${transport}: { address: "0.0.0.0:9999"${keys} } }`);
      expect(of('')).toMatch(
        new RegExp(`receivers.otlp.${transport}.address.*not encrypted.*tls.*receivers.otlp.${transport}.insecure`),
      );
      expect(of(', insecure: true')).toBe('');
      expect(of(', tls: { cert: a, key: b }')).toBe('');
    }
    for (const address of ['127.0.0.1:9999', '[::1]:9999', 'localhost:9999', 'unix:/run/otlp.sock'])
      expect(problems(`{ http: { address: "${address}" } }`)).toBe('');
  });

  it('refuses what cannot work together', () => {
    expect(problems('{ http: { address: "127.0.0.1:4317" } }')).toContain('same as receivers.otlp.grpc.address');
    expect(problems('{ http: { address: "127.0.0.1:4319" } }')).toContain('same as receivers.otlp.http.address');
    expect(problems('{ http: { logsPath: /v1/traces } }')).toContain('must differ');
    expect(problems('{ http: { metricsPath: v1 } }')).toContain('a path such as');
    expect(problems('{ http: { maxMessageBytes: 512MiB } }')).toContain('could never be admitted');
    expect(problems('{ http: { address: null } }')).toBe('');
  });

  it('does not export the own telemetry to itself over HTTP either', () => {
    const loaded = parseConfig('', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318' });
    expect(loaded.ok && [loaded.config.telemetry.endpoint, loaded.notes]).toEqual([
      null,
      [expect.stringContaining("agent's own receiver")],
    ]);
  });
});

describe('the ceiling of memory', () => {
  it('is what is configured, or four fifths of what the container allows', () => {
    expect(memoryCeiling(1_000, 0)).toBe(1_000);
    expect(memoryCeiling(1_000, 1.8e19)).toBe(1_000);
    expect(memoryCeiling(1_000, 10_000)).toBe(1_000);
    expect(memoryCeiling(1_000, 1_000)).toBe(800);
  });
});
