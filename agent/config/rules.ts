import { type Address, isLocal, parseAddress } from '../rpc/address.ts';
import { alertRules } from './alerts.ts';
import { flagRules } from './flagged.ts';
import { resourceRules } from './resources.ts';
import { upstreamRules, webRules } from './rules-upstream.ts';
import type { Config } from './schema.ts';

/** What two keys must be to each other; the schema holds what each must be by itself. */
export interface Breach {
  readonly path: readonly string[];
  readonly message: string;
}

export function breaches(config: Config): Breach[] {
  const found: Breach[] = [];
  const must = (holds: boolean, path: string, message: string): void => {
    if (!holds) found.push({ path: path.split('.'), message });
  };

  const { window, cooldown, objective } = config.tuning;
  must(window.min <= window.max, 'tuning.window.min', 'must not be above tuning.window.max');
  must(
    cooldown.windows <= cooldown.maxWindows,
    'tuning.cooldown.windows',
    'must not be above tuning.cooldown.maxWindows',
  );
  must(
    Object.values(objective).some((weight) => weight > 0),
    'tuning.objective',
    'every weight is 0, so nothing could ever be better; give at least one a weight above 0',
  );

  const { excellent, good, acceptable, poor } = config.thresholds.responseTime;
  must(
    excellent < good && good < acceptable && acceptable < poor,
    'thresholds.responseTime',
    'must increase: excellent < good < acceptable < poor',
  );
  const { minimum, target, maximum } = config.thresholds.throughput;
  must(
    minimum <= target && target <= maximum,
    'thresholds.throughput',
    'must not decrease: minimum <= target <= maximum',
  );

  for (const [component, policy] of Object.entries(config.components)) {
    for (const [knob, { min, max }] of Object.entries(policy.knobs ?? {})) {
      if (min !== undefined && max !== undefined && min > max) {
        found.push({ path: ['components', component, 'knobs', knob, 'min'], message: 'must not be above max' });
      }
    }
  }

  const { grpc, http } = config.receivers.otlp;
  for (const [transport, each] of Object.entries({ grpc, http })) {
    const path = `receivers.otlp.${transport}`;
    must(
      each.maxMessageBytes <= each.maxInFlightBytes,
      `${path}.maxMessageBytes`,
      `must not be above ${path}.maxInFlightBytes: such a request could never be admitted`,
    );
    must(
      each.address === null || isLocal(parseAddress(each.address)) || each.tls !== null || each.insecure,
      `${path}.address`,
      'can be reached from other machines and is not encrypted: give ' +
        `${path}.tls, or set ${path}.insecure: true where only trusted processes are on that network`,
    );
  }
  must(
    new Set([http.metricsPath, http.tracesPath, http.logsPath]).size === 3,
    'receivers.otlp.http',
    'metricsPath, tracesPath and logsPath must differ',
  );
  if (http.address !== null) {
    must(
      http.address.endsWith(':0') || !meets(parseAddress(http.address), parseAddress(grpc.address)),
      'receivers.otlp.http.address',
      'is the same as receivers.otlp.grpc.address; give each its own',
    );
  }

  const { targets } = config.receivers.prometheus;
  for (const [i, { url, interval, timeout, headers, bearerTokenFile }] of targets.entries()) {
    const targetMust = (holds: boolean, key: string, message: string): void => {
      if (!holds) found.push({ path: ['receivers', 'prometheus', 'targets', String(i), key], message });
    };
    targetMust(timeout <= interval, 'timeout', 'must not be above interval: scrapes of one page never overlap');
    const isFirst = targets.findIndex((other) => other.url === url) === i;
    targetMust(isFirst, 'url', 'is listed twice: what it shows would be counted twice');
    const authorizes = Object.keys(headers ?? {}).some((name) => name.toLowerCase() === 'authorization');
    targetMust(
      !authorizes || bearerTokenFile === undefined,
      'bearerTokenFile',
      'and an authorization header: give one',
    );
  }

  const { control } = config;
  must(
    control.leaseTtl >= 2 * control.heartbeatInterval,
    'control.leaseTtl',
    'must be at least twice control.heartbeatInterval, or one late heartbeat would end a lease',
  );
  if (control.address !== null) {
    must(
      isLocal(parseAddress(control.address)) || control.tls !== null,
      'control.address',
      'can be reached from other machines: give control.tls with cert, key and clientCa, or a loopback address such as 127.0.0.1:4319',
    );
    must(
      control.address.endsWith(':0') || !meets(parseAddress(control.address), parseAddress(grpc.address)),
      'control.address',
      'is the same as receivers.otlp.grpc.address; give each its own',
    );
    must(
      http.address === null ||
        control.address.endsWith(':0') ||
        !meets(parseAddress(control.address), parseAddress(http.address)),
      'control.address',
      'is the same as receivers.otlp.http.address; give each its own',
    );
  }
  must(
    control.address !== null || control.socket !== null,
    'control',
    'socket and address are both null, so no process could connect; give one of them',
  );
  const { operators, processes } = control.access;
  const ofOperators = new Set(
    operators.flatMap(({ token, tokenFile, certificate }) => [token, tokenFile, certificate]),
  );
  ofOperators.delete(undefined);
  for (const [i, { token, tokenFile, certificate }] of processes.entries()) {
    must(
      ![token, tokenFile, certificate].some((way) => ofOperators.has(way)),
      `control.access.processes.${i}`,
      'has the credential of an operator: whoever has it could be taken for either',
    );
  }
  for (const [list, rows] of Object.entries({ operators, processes })) {
    for (const [i, { token, tokenFile, certificate }] of rows.entries()) {
      const given = [token, tokenFile, certificate].filter((way) => way !== undefined).length;
      must(given === 1, `control.access.${list}.${i}`, 'must have exactly one of token, tokenFile and certificate');
    }
  }
  if (config.telemetry.endpoint !== null) {
    must(
      !reachesOwnReceiver(config.telemetry.endpoint, config),
      'telemetry.endpoint',
      "is this agent's own receiver (receivers.otlp.grpc.address or http.address); give the address of another collector, or null",
    );
  }
  upstreamRules(config, must, (endpoint) => reachesOwnReceiver(endpoint, config));
  webRules(config, must);
  resourceRules(config, must);
  alertRules(config, must);
  found.push(...flagRules(config));
  return found;
}

/** The same for any of the agent's own receivers. */
export function reachesOwnReceiver(endpoint: string, config: Config): boolean {
  const { grpc, http } = config.receivers.otlp;
  return [grpc.address, http.address].some((address) => address !== null && exportsToItself(endpoint, address));
}

/** Whether own telemetry sent to `endpoint` (a URL) would come in at the receiver listening on `address`. */
export function exportsToItself(endpoint: string, address: string): boolean {
  if (!URL.canParse(endpoint)) return false;
  const { protocol, hostname, port } = new URL(endpoint);
  const dialled = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  return meets({ kind: 'tcp', host: hostname.replace(/^\[(.*)\]$/, '$1'), port: dialled }, parseAddress(address));
}

/** Whether dialling `target` reaches a listener on `bound`, as far as names tell. */
function meets(target: Address, bound: Address): boolean {
  if (target.kind === 'unix' || bound.kind === 'unix') {
    return target.kind === 'unix' && bound.kind === 'unix' && target.path === bound.path;
  }
  if (target.port !== bound.port) return false;
  const isWildcard = bound.host === '0.0.0.0' || bound.host === '::';
  return target.host === bound.host || (isLocal(target) && (isWildcard || isLocal(bound)));
}
