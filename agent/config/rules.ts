import { ADDRESS } from './kinds.ts';
import type { Config } from './schema.ts';

/** What two keys must be to each other; the schema holds what each must be by itself. */
export interface Breach {
  readonly path: readonly string[];
  readonly message: string;
}

export function breaches(config: Config): Breach[] {
  const found: Breach[] = [];
  const require = (holds: boolean, path: string, message: string): void => {
    if (!holds) found.push({ path: path.split('.'), message });
  };

  const { window, cooldown, objective } = config.tuning;
  require(window.min <= window.max, 'tuning.window.min', 'must not be above tuning.window.max');
  require(cooldown.windows <=
    cooldown.maxWindows, 'tuning.cooldown.windows', 'must not be above tuning.cooldown.maxWindows');
  require(Object.values(objective).some(
    (weight) => weight > 0,
  ), 'tuning.objective', 'every weight is 0, so nothing could ever be better; give at least one a weight above 0');

  const { excellent, good, acceptable, poor } = config.thresholds.responseTime;
  require(excellent < good &&
    good < acceptable &&
    acceptable < poor, 'thresholds.responseTime', 'must increase: excellent < good < acceptable < poor');
  const { minimum, target, maximum } = config.thresholds.throughput;
  require(minimum <= target &&
    target <= maximum, 'thresholds.throughput', 'must not decrease: minimum <= target <= maximum');

  for (const [component, policy] of Object.entries(config.components)) {
    for (const [knob, { min, max }] of Object.entries(policy.knobs ?? {})) {
      if (min !== undefined && max !== undefined && min > max) {
        found.push({ path: ['components', component, 'knobs', knob, 'min'], message: 'must not be above max' });
      }
    }
  }

  const { grpc } = config.receivers.otlp;
  require(grpc.maxMessageBytes <=
    grpc.maxInFlightBytes, 'receivers.otlp.grpc.maxMessageBytes', 'must not be above receivers.otlp.grpc.maxInFlightBytes: such a request could never be admitted');

  const { control } = config;
  require(control.leaseTtl >=
    2 *
      control.heartbeatInterval, 'control.leaseTtl', 'must be at least twice control.heartbeatInterval, or one late heartbeat would end a lease');
  if (control.address !== null) {
    require(isLoopback(
      control.address,
    ), 'control.address', 'must be a loopback address such as 127.0.0.1:4319, or unix:/path: beyond loopback anyone could tune your processes');
    require(control.address.endsWith(':0') ||
      !meets(
        control.address,
        grpc.address,
      ), 'control.address', 'is the same as receivers.otlp.grpc.address; give each its own');
  }
  require(control.address !== null ||
    control.socket !==
      null, 'control', 'socket and address are both null, so no process could connect; give one of them');
  if (config.telemetry.endpoint !== null) {
    require(!exportsToItself(
      config.telemetry.endpoint,
      grpc.address,
    ), 'telemetry.endpoint', "is this agent's own receiver (receivers.otlp.grpc.address); give the address of another collector, or null");
  }
  return found;
}

/** Whether own telemetry sent to `endpoint` (a URL) would come in at the receiver listening on `address`. */
export function exportsToItself(endpoint: string, address: string): boolean {
  if (!URL.canParse(endpoint)) return false;
  const url = new URL(endpoint);
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return meets(`${url.hostname}:${port}`, address);
}

/** Whether dialling `target` reaches a listener on `listener`, as far as names tell. */
function meets(target: string, listener: string): boolean {
  if (target === listener) return true;
  const dialled = ADDRESS.exec(target)?.groups;
  const bound = ADDRESS.exec(listener)?.groups;
  if (dialled?.port === undefined || bound?.port === undefined || dialled.port !== bound.port) return false;
  const wildcard = bound.host === '0.0.0.0' || bound.host === '[::]';
  return dialled.host === bound.host || (isLoopback(target) && (wildcard || isLoopback(listener)));
}

function isLoopback(address: string): boolean {
  const groups = ADDRESS.exec(address)?.groups;
  if (groups?.path !== undefined) return true;
  const host = groups?.host ?? '';
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
