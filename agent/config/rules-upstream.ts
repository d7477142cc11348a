import { isLocal, parseAddress } from '../rpc/address.ts';
import type { Config } from './schema.ts';

type Must = (holds: boolean, path: string, message: string) => void;

/** Header names that belong to the transport, or to us. */
const RESERVED =
  /^(?:host|te|trailer|connection|content-.*|transfer-encoding|upgrade|user-agent|grpc-.*|perfopt-via|.*-bin)$/i;

export function upstreamRules(config: Config, must: Must, reachesUs: (endpoint: string) => boolean): void {
  const { endpoint, protocol, headers, retry, queue, tls } = config.upstream;
  if (endpoint !== null) {
    must(
      URL.canParse(endpoint),
      'upstream.endpoint',
      'is no URL; allowed: http://host:port, https://host:port (with protocol http also with a path)',
    );
    must(
      !reachesUs(endpoint),
      'upstream.endpoint',
      "is one of this agent's own receivers, so that everything would come back; give the address of your collector or backend",
    );
    const hasPath = URL.canParse(endpoint) && new URL(endpoint).pathname !== '/';
    must(
      protocol === 'http' || !hasPath,
      'upstream.endpoint',
      'has a path, which gRPC does not know; leave it out, or set upstream.protocol to http',
    );
    must(
      queue.path === null || queue.path !== config.state.path,
      'upstream.queue.path',
      'is the same as state.path; give the queue a file of its own',
    );
  }
  for (const name of Object.keys(headers)) {
    must(!RESERVED.test(name), 'upstream.headers', `${name} is set by the agent itself; leave it out`);
  }
  must(retry.initial <= retry.max, 'upstream.retry.initial', 'must not be above upstream.retry.max');
  must(
    (tls.cert === null) === (tls.key === null),
    'upstream.tls',
    'cert and key belong together: give both or neither',
  );
}

export function webRules(config: Config, must: Must): void {
  const { address, key } = config.web;
  if (address === null) return;
  const parsed = parseAddress(address);
  must(parsed.kind === 'tcp', 'web.address', 'must be host:port: browsers and Prometheus know no Unix sockets');
  must(
    isLocal(parsed) || key !== null,
    'web.address',
    'can be reached from other machines: set web.key to a secret, or listen on 127.0.0.1',
  );
  const { grpc, http } = config.receivers.otlp;
  const others = [
    ['receivers.otlp.grpc.address', grpc.address],
    ['receivers.otlp.http.address', http.address],
    ['control.address', config.control.address],
  ] as const;
  for (const [name, other] of others) {
    must(other !== address || address.endsWith(':0'), 'web.address', `is the same as ${name}; give each its own`);
  }
}
