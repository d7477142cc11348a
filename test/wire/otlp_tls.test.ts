import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { Certificates } from '../../agent/rpc/certificates.ts';
import { newPki, type Pki } from './otlp_pki.ts';
import { METRICS, startReceiver } from './otlp_rig.ts';
import { encodeRequest } from './otlp_schema.ts';

const BODY = encodeRequest({
  resourceMetrics: [
    { scopeMetrics: [{ metrics: [{ name: 'g', gauge: { dataPoints: [{ timeUnixNano: 1, asInt: 1 }] } }] }] },
  ],
});

interface Trust {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Status of HTTP, or why there was none. */
function overHttp(address: string, { ca, cert, key }: Trust): Promise<number | string> {
  return new Promise((resolve) => {
    const call = request(`https://${address}/v1/metrics`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/x-protobuf' },
      ca: readFileSync(ca),
      ...(cert !== undefined && { cert: readFileSync(cert) }),
      ...(key !== undefined && { key: readFileSync(key) }),
    });
    call.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.on('error', (error) => resolve(error.message));
    call.end(BODY);
  });
}

/** Status of gRPC. */
function overGrpc(address: string, { ca, cert, key }: Trust): Promise<number> {
  const channel = credentials.createSsl(
    readFileSync(ca),
    key === undefined ? null : readFileSync(key),
    cert === undefined ? null : readFileSync(cert),
  );
  const client = new Client(address, channel, { 'grpc.use_local_subchannel_pool': 1 });
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(METRICS, same, same, Buffer.from(BODY), new Metadata(), (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

function serverFiles(pki: Pki): { cert: string; key: string } {
  const files = { cert: join(pki.folder, 'tls.crt'), key: join(pki.folder, 'tls.key') };
  use(pki.issue('server', 'ca'), files);
  return files;
}

function use(from: { cert: string; key: string }, files: { cert: string; key: string }): void {
  copyFileSync(from.key, files.key);
  copyFileSync(from.cert, files.cert);
}

describe('TLS', () => {
  it('encrypts both transports; who trusts another authority does not come in', async () => {
    using pki = newPki();
    const ca = pki.authority('ca');
    const other = pki.authority('other');
    const certificates = new Certificates({ files: serverFiles(pki), reloadEveryMs: 1_000, onReload: () => {} });
    await using rig = await startReceiver({ certificates });
    expect(await overGrpc(rig.address, { ca })).toBe(status.OK);
    expect(await overHttp(rig.httpAddress, { ca })).toBe(200);
    expect(await overGrpc(rig.address, { ca: other })).toBe(status.UNAVAILABLE);
    expect(await overHttp(rig.httpAddress, { ca: other })).toMatch(/certificate|signature/);
    expect(rig.sink.points).toBe(2);
  });

  it('lets in only clients with a certificate, where an authority for them is given', async () => {
    using pki = newPki();
    const ca = pki.authority('ca');
    const clientCa = pki.authority('clients');
    pki.authority('strangers');
    const mine = { ca, ...pki.issue('client', 'clients') };
    const stranger = { ca, ...pki.issue('stranger', 'strangers') };
    const files = { ...serverFiles(pki), clientCa };
    const certificates = new Certificates({ files, reloadEveryMs: 1_000, onReload: () => {} });
    await using rig = await startReceiver({ certificates });
    expect(await overGrpc(rig.address, mine)).toBe(status.OK);
    expect(await overHttp(rig.httpAddress, mine)).toBe(200);
    for (const trust of [{ ca }, stranger]) {
      expect(await overGrpc(rig.address, trust)).toBe(status.UNAVAILABLE);
      expect(await overHttp(rig.httpAddress, trust)).toMatch(/alert|reset|hang up/i);
    }
    expect(rig.sink.points).toBe(2);
  });

  it('takes renewed certificates into use without a restart, by itself', async () => {
    using pki = newPki();
    const ca = pki.authority('ca');
    const newCa = pki.authority('next');
    const files = serverFiles(pki);
    const reloads: (string | undefined)[] = [];
    const certificates = new Certificates({
      files,
      reloadEveryMs: 10,
      onReload: (problem) => reloads.push(problem?.message),
    });
    await using rig = await startReceiver({ certificates });
    expect([await overGrpc(rig.address, { ca }), await overHttp(rig.httpAddress, { ca })]).toEqual([status.OK, 200]);

    certificates.watch();
    use(pki.issue('renewed', 'next'), files);
    await expect.poll(() => reloads.at(-1) ?? reloads.length).toBeTypeOf('number');
    await expect.poll(() => overHttp(rig.httpAddress, { ca: newCa })).toBe(200);
    expect(await overGrpc(rig.address, { ca: newCa })).toBe(status.OK);
    expect(await overGrpc(rig.address, { ca })).toBe(status.UNAVAILABLE);
    certificates.close();
  });

  it('keeps the old certificates while the new ones cannot be used, and says so once', async () => {
    using pki = newPki();
    const ca = pki.authority('ca');
    const files = serverFiles(pki);
    const problems: (string | undefined)[] = [];
    const certificates = new Certificates({
      files,
      reloadEveryMs: 60_000,
      onReload: (problem) => problems.push(problem?.message),
    });
    await using rig = await startReceiver({ certificates });
    const renewed = pki.issue('renewed', 'ca');
    // Half of a renewal: the new certificate, the old key.
    copyFileSync(renewed.cert, files.cert);
    expect([certificates.reload(), certificates.reload()]).toEqual([false, false]);
    expect(problems).toEqual([expect.stringMatching(/key/)]);
    expect([await overGrpc(rig.address, { ca }), await overHttp(rig.httpAddress, { ca })]).toEqual([status.OK, 200]);
    copyFileSync(renewed.key, files.key);
    expect([certificates.reload(), certificates.reload()]).toEqual([true, false]);
    expect([await overGrpc(rig.address, { ca }), await overHttp(rig.httpAddress, { ca })]).toEqual([status.OK, 200]);
  });

  it('says at start which file cannot be used, and why', () => {
    using pki = newPki();
    pki.authority('ca');
    const files = serverFiles(pki);
    const load = (change: object) => () =>
      new Certificates({ files: { ...files, ...change }, reloadEveryMs: 1_000, onReload: () => {} });
    const empty = join(pki.folder, 'empty');
    writeFileSync(empty, '');
    expect(load({ cert: join(pki.folder, 'none') })).toThrow(/cannot read .*none: ENOENT/);
    expect(load({ key: empty })).toThrow(/empty/);
    expect(load({ key: pki.issue('other', 'ca').key })).toThrow(/key/);
  });
});
