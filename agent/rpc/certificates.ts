import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { experimental, type ServerCredentials } from '@grpc/grpc-js';

/** Paths of PEM files. */
export interface CertificateFiles {
  /** The chain, the server's own certificate first. */
  readonly cert: string;
  readonly key: string;
  /** Where given, only clients with a certificate of this authority get in. */
  readonly clientCa?: string | null | undefined;
}

export interface CertificatesOptions {
  readonly files: CertificateFiles;
  /** How often the files are looked at for new content. */
  readonly reloadEveryMs: number;
  /** New files were taken into use, or cannot be: then the old ones stay. */
  readonly onReload: (problem: Error | undefined) => void;
}

/** Certificates that cannot be used, which ones, and why. */
export class CertificateError extends Error {
  override name = 'CertificateError';
}

interface Loaded {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];

/**
 * The certificates of a server, read from files and read again when the files change: they are renewed while the agent
 * runs, by cert-manager or certbot, and nobody should have to restart it. The contents are compared, not the times:
 * renewals swap links, and a half written pair (a new certificate, the old key) is refused and looked at again later.
 * Connections that are open keep what they began with.
 */
export class Certificates {
  readonly requiresClient: boolean;
  readonly #options: CertificatesOptions;
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #caListeners = new Set<CaListener>();
  readonly #contextListeners = new Set<(context: Loaded) => void>();
  #loaded: Loaded;
  #timer: NodeJS.Timeout | undefined;
  #lastProblem = '';

  /** Throws `CertificateError`. */
  constructor(options: CertificatesOptions) {
    this.#options = options;
    this.requiresClient = typeof options.files.clientCa === 'string';
    this.#loaded = load(options.files);
  }

  /** For `https.createServer` and `setSecureContext`. */
  get context(): Loaded {
    return this.#loaded;
  }

  onChange(listener: (context: Loaded) => void): void {
    this.#contextListeners.add(listener);
  }

  /**
   * For grpc-js, which follows changes by itself through this. It registers before it listens to itself, so what it is
   * told at once would be lost; and until it is told, it drops every connection.
   */
  serverCredentials(): ServerCredentials {
    const provider: experimental.CertificateProvider = {
      addCaCertificateListener: (listener) => {
        this.#caListeners.add(listener);
        queueMicrotask(() => this.#tellCa(listener));
      },
      removeCaCertificateListener: (listener) => void this.#caListeners.delete(listener),
      addIdentityCertificateListener: (listener) => {
        this.#identityListeners.add(listener);
        queueMicrotask(() => this.#tellIdentity(listener));
      },
      removeIdentityCertificateListener: (listener) => void this.#identityListeners.delete(listener),
    };
    return experimental.createCertificateProviderServerCredentials(
      provider,
      this.requiresClient ? provider : null,
      this.requiresClient,
    );
  }

  watch(): void {
    this.#timer ??= setInterval(() => this.reload(), this.#options.reloadEveryMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks at the files now. Whether new ones were taken into use. */
  reload(): boolean {
    const { files, onReload } = this.#options;
    let loaded: Loaded;
    try {
      loaded = load(files);
    } catch (error) {
      const problem = error instanceof Error ? error : new CertificateError(String(error));
      if (problem.message !== this.#lastProblem) onReload(problem);
      this.#lastProblem = problem.message;
      return false;
    }
    this.#lastProblem = '';
    const { cert, key, ca } = this.#loaded;
    const isSame =
      loaded.cert.equals(cert) &&
      loaded.key.equals(key) &&
      (loaded.ca === undefined || ca === undefined ? loaded.ca === ca : loaded.ca.equals(ca));
    if (isSame) return false;
    this.#loaded = loaded;
    for (const listener of this.#contextListeners) listener(loaded);
    for (const listener of this.#caListeners) this.#tellCa(listener);
    for (const listener of this.#identityListeners) this.#tellIdentity(listener);
    onReload(undefined);
    return true;
  }

  #tellCa(listener: CaListener): void {
    const { ca } = this.#loaded;
    listener(ca === undefined ? null : { caCertificate: ca });
  }

  #tellIdentity(listener: IdentityListener): void {
    listener({ certificate: this.#loaded.cert, privateKey: this.#loaded.key });
  }
}

function load({ cert, key, clientCa }: CertificateFiles): Loaded {
  const loaded = {
    cert: read(cert),
    key: read(key),
    ...(typeof clientCa === 'string' && { ca: read(clientCa) }),
  };
  let isPair: boolean;
  try {
    createSecureContext(loaded);
    isPair = new X509Certificate(loaded.cert).checkPrivateKey(createPrivateKey(loaded.key));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CertificateError(`the certificates in ${[cert, key, clientCa ?? []].flat().join(', ')}: ${reason}`);
  }
  if (!isPair) throw new CertificateError(`the key in ${key} is not that of the certificate in ${cert}`);
  return loaded;
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CertificateError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
