import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../agent/config/load.ts';

function messageOf(yaml: string): string {
  const loaded = parseConfig(yaml, {});
  return loaded.ok ? 'ok' : loaded.message;
}

describe('upstream and web in the configuration', () => {
  it.each([
    'upstream: { endpoint: "https://collector.example:4317", headers: { authorization: "Bearer x", x-tenant: a } }',
    'upstream: { endpoint: "http://127.0.0.1:4318/otlp", protocol: http }\nreceivers: { otlp: { http: { address: null } } }',
    'upstream: { endpoint: "http://[::1]:14317", queue: { path: null }, compression: none }',
    'web: { address: "0.0.0.0:4320", key: "sixteen-chars-ok" }',
    'web: { address: null }',
  ])('takes %s', (yaml) => {
    expect(messageOf(yaml)).toBe('ok');
  });

  it.each([
    ['upstream: { endpoint: "http://127.0.0.1:4317" }', "upstream.endpoint: is one of this agent's own receivers"],
    ['upstream: { endpoint: "http://localhost:4318", protocol: http }', "one of this agent's own receivers"],
    ['upstream: { endpoint: "http://collector:4317/otlp" }', 'has a path, which gRPC does not know'],
    ['upstream: { endpoint: "http://user:secret@collector:4317" }', 'upstream.endpoint'],
    ['upstream: { endpoint: "collector:4317" }', 'allowed: http://host:port'],
    ['upstream: { headers: { Content-Type: x } }', 'Content-Type is set by the agent itself'],
    ['upstream: { headers: { grpc-timeout: x } }', 'grpc-timeout is set by the agent itself'],
    ['upstream: { headers: { perfopt-via: x } }', 'perfopt-via is set by the agent itself'],
    ['upstream: { headers: { "a b": x } }', 'upstream.headers'],
    ['upstream: { retry: { initial: 50s, max: 1s } }', 'must not be above upstream.retry.max'],
    ['upstream: { endpoint: "http://c:1", queue: { path: x.db } }\nstate: { path: x.db }', 'is the same as state.path'],
    ['upstream: { tls: { cert: a.pem } }', 'cert and key belong together'],
    ['web: { address: "0.0.0.0:4320" }', 'web.address: can be reached from other machines: set web.key'],
    ['web: { address: "unix:/tmp/web.sock" }', 'must be host:port'],
    ['web: { address: "127.0.0.1:4317" }', 'is the same as receivers.otlp.grpc.address'],
    ['web: { key: "short" }', 'at least 16 characters'],
  ])('refuses %s', (yaml, words) => {
    expect(messageOf(yaml)).toContain(words);
  });
});
