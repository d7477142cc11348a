import { readFileSync } from 'node:fs';

export interface TlsPaths {
  /** Certificates of whoever may vouch for the upstream; the system's own without it. */
  readonly ca: string | null;
  /** Our certificate and its key, where the upstream wants one (mTLS). */
  readonly cert: string | null;
  readonly key: string | null;
}

export interface TlsMaterial {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Reads the files once, at start. Throws with the key of the configuration that names a file which cannot be read. */
export function readTls({ ca, cert, key }: TlsPaths): TlsMaterial {
  return {
    ...(ca !== null && { ca: read('upstream.tls.ca', ca) }),
    ...(cert !== null && { cert: read('upstream.tls.cert', cert) }),
    ...(key !== null && { key: read('upstream.tls.key', key) }),
  };
}

function read(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${name}: ${path} cannot be read: ${reason}; give the path of a PEM file`, { cause: error });
  }
}
