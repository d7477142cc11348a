import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificates made for one test, by openssl, and thrown away with it. */
export interface Pki extends Disposable {
  readonly folder: string;
  /** A self-signed authority: `NAME.crt` and `NAME.key`. */
  authority(name: string): string;
  /** A certificate for 127.0.0.1, or for other names, signed by an authority. */
  issue(name: string, authority: string, names?: string): { readonly cert: string; readonly key: string };
}

export function newPki(): Pki {
  const folder = mkdtempSync(join(tmpdir(), 'otlp-pki-'));
  const at = (file: string): string => join(folder, file);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe', cwd: folder });
  const key = (name: string) =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', `${name}.key`);
  return {
    folder,
    authority(name) {
      key(name);
      const request = ['req', '-x509', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-days', '2'];
      openssl(...request, '-out', `${name}.crt`);
      return at(`${name}.crt`);
    },
    issue(name, authority, names = 'IP:127.0.0.1,DNS:localhost') {
      key(name);
      openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
      writeFileSync(at(`${name}.ext`), `subjectAltName=${names}\n`);
      const signing = ['-CA', `${authority}.crt`, '-CAkey', `${authority}.key`, '-CAcreateserial', '-days', '2'];
      openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-extfile', `${name}.ext`, '-out', `${name}.crt`);
      return { cert: at(`${name}.crt`), key: at(`${name}.key`) };
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
