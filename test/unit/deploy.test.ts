import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../agent/config/load.ts';

/* What can be held of the ways to run the agent without an engine that runs them: names, paths, versions, configurations. */

const read = (path: string): string => readFileSync(path, 'utf8');
const { version, bin }: { version: string; bin: Record<string, string> } = JSON.parse(read('package.json'));
const ENTRY = bin.perfopt ?? '';
const KEY = { PERFOPT_WEB_KEY: '0123456789abcdef' };
/** Where the image, the unit and the manifests keep what has to last. */
const STATE_FOLDER = '/var/lib/performance-optimizer';

function configOf(file: string, environment: Record<string, string> = {}) {
  const loaded = loadConfig(file, environment);
  if (!loaded.ok) throw new Error(loaded.message);
  return loaded;
}

const manifests = parseAllDocuments(read('deploy/kubernetes/sidecar.yaml')).map((document) => document.toJS());
const [settings, secret, deployment] = manifests;
const pod = deployment.spec.template.spec;
const [sidecar] = pod.initContainers;

test('the image holds what it is made of, and starts the entry of the package', () => {
  const lines = read('deploy/Dockerfile').split('\n');
  const copied = lines.flatMap((line) => /^COPY (?!--from)(.+) \S+$/.exec(line)?.[1]?.split(' ') ?? []);
  expect(copied.filter((path) => !path.includes('*') && !existsSync(path))).toEqual([]);
  const allowed = read('.dockerignore')
    .split('\n')
    .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
  const isAllowed = (path: string): boolean => allowed.some((one) => path === one || path.startsWith(`${one}/`));
  expect(copied.filter((path) => !isAllowed(path.replace('*', '')))).toEqual([]);
  expect(lines).toContain(`ENTRYPOINT ["node", "/app/${ENTRY}"]`);
  expect(read('deploy/Dockerfile')).toContain(`VOLUME ["${STATE_FOLDER}"]`);
  const { config } = configOf('config/examples/container.yaml');
  expect(config.state.path).toMatch(new RegExp(`^${STATE_FOLDER}/`));
});

test('the sidecar of the manifest is a native one, with a configuration that is valid and has an effect', () => {
  expect(sidecar).toMatchObject({ restartPolicy: 'Always', image: `performance-optimizer:${version}` });
  expect(sidecar.args).toEqual(['run', '--config', '/etc/performance-optimizer/agent.yaml']);
  const file = join('deploy/helm/performance-optimizer/files', 'agent.yaml');
  expect(parse(settings.data['agent.yaml'])).toEqual(parse(read(file)));
  const { config, notes } = configOf(file, KEY);
  expect(notes).toEqual([]);
  expect(config.state.path).toMatch(new RegExp(`^${STATE_FOLDER}/`));
  expect(Object.keys(secret.stringData)).toEqual([sidecar.env[0].valueFrom.secretKeyRef.key]);
  expect(secret.stringData['web-key'].length).toBeGreaterThanOrEqual(16);
  // The kubelet comes from outside the pod: the pages must be where it looks.
  const [{ containerPort }] = sidecar.ports;
  expect(config.web.address).toBe(`0.0.0.0:${containerPort}`);
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
    expect(sidecar[probe].httpGet.port).toBe(sidecar.ports[0].name);
  }
});

test('what the sidecar mounts is there, and its disk is larger than what it may fill', () => {
  const volumes = new Map(pod.volumes.map((volume: { name: string }) => [volume.name, volume]));
  const mounts: { name: string; mountPath: string }[] = sidecar.volumeMounts;
  expect(mounts.filter(({ name }) => !volumes.has(name))).toEqual([]);
  expect(mounts.map(({ mountPath }) => mountPath)).toContain(STATE_FOLDER);
  const { config } = configOf('deploy/helm/performance-optimizer/files/agent.yaml', KEY);
  const { emptyDir } = pod.volumes.find(({ name }: { name: string }) => name === 'performance-optimizer-state');
  expect(emptyDir.sizeLimit).toBe('512Mi');
  expect(config.state.maxBytes + config.state.maxHistoryBytes).toBeLessThan(512 * 2 ** 20);
});

test('the AI process is told addresses that the agent listens on', () => {
  const { config } = configOf('deploy/helm/performance-optimizer/files/agent.yaml', KEY);
  const [ai] = pod.containers;
  const told = Object.fromEntries(ai.env.map(({ name, value }: { name: string; value: string }) => [name, value]));
  const { ai: service } = parse(read('deploy/compose/compose.yaml')).services;
  for (const environment of [told, service.environment]) {
    expect(environment.OTEL_EXPORTER_OTLP_ENDPOINT).toBe(`http://${config.receivers.otlp.grpc.address}`);
    expect(environment.PERFOPT_CONTROL_ADDRESS).toBe(config.control.address);
  }
  for (const [name, value] of Object.entries(told)) {
    expect(read('deploy/helm/performance-optimizer/templates/_sidecar.tpl')).toContain(
      name === 'OTEL_SERVICE_NAME'
        ? name
        : `name: ${name}, value: ${/:/.test(String(value)) || /^\d/.test(String(value)) ? `"${value}"` : value}`,
    );
  }
});

test('compose builds this image and puts the agent into the network of the process', () => {
  const { services, volumes } = parse(read('deploy/compose/compose.yaml'));
  const agent = services['performance-optimizer'];
  expect(existsSync(join('deploy/compose', agent.build.context, agent.build.dockerfile))).toBe(true);
  expect([agent.network_mode, agent.pid]).toEqual(['service:ai', 'service:ai']);
  expect(agent.volumes).toEqual([`state:${STATE_FOLDER}`]);
  expect(Object.keys(volumes)).toEqual(['state']);
});

test('chart, unit and package agree on version and entry', () => {
  const chart = parse(read('deploy/helm/performance-optimizer/Chart.yaml'));
  const values = parse(read('deploy/helm/performance-optimizer/values.yaml'));
  expect([chart.version, chart.appVersion]).toEqual([version, version]);
  expect(values.agent.image).toBe(sidecar.image);
  expect(values.agent.resources).toEqual(sidecar.resources);
  const unit = read('deploy/systemd/performance-optimizer.service');
  expect(unit).toContain(`ExecStart=/usr/bin/env node /opt/performance-optimizer/${ENTRY} run --config `);
  expect(unit).toContain('StateDirectory=performance-optimizer\n');
});
