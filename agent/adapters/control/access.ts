/**
 * Who may do what. A peer is known by a token, by its client certificate, or, where the configuration trusts it, by having
 * reached a socket file that only this user can open or a loopback port. A process speaks for its own component and
 * nothing else; an operator changes things, and holds no session.
 */
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Metadata, status } from '@grpc/grpc-js';
import { quote } from './hello.ts';

/** How a peer got here: by the socket file, from this machine, or from anywhere (then over mutual TLS). */
export type Transport = 'socket' | 'loopback' | 'network';

/** Each may see what the one before may; only operators change anything. */
export type Role = 'process' | 'observer' | 'operator';

/** What a peer without any credential may do. With `process` and above it may also hold the session of any component. */
export type LocalTrust = 'nobody' | Role;

/** One way to be recognised: exactly one of these is set. */
export interface Credential {
  readonly token?: string;
  /** Read again when it changes. Surrounding white space does not count. */
  readonly tokenFile?: string;
  /** A name in the client's certificate: `URI:spiffe://…`, `DNS:…` or `CN:…`, or what follows the colon. */
  readonly certificate?: string;
}

export interface AccessOptions {
  readonly socket: LocalTrust;
  readonly loopback: LocalTrust;
  readonly operators: readonly (Credential & { readonly name: string })[];
  readonly processes: readonly (Credential & { readonly component: string })[];
}

/** Whoever opens the socket file or a loopback port is trusted. */
export const TRUSTING: AccessOptions = { socket: 'operator', loopback: 'operator', operators: [], processes: [] };

export interface Peer {
  /** For the record: `operator "alice"`, `process of "embedder"`, `socket`. */
  readonly name: string;
  readonly role: Role;
  /** Recognised by a credential: then what it says of its own name does not count. */
  readonly isKnown: boolean;
  /** Whether it may speak for this component. */
  mayHold(component: string): boolean;
}

export interface Refusal {
  readonly code: status;
  readonly reason: string;
}

/** What is asked of a call to find out who makes it. */
export interface Caller {
  readonly metadata: Metadata;
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Buffer } | undefined };
}

export const MIN_TOKEN = 16;
const MAX_TOKEN = 512;

/** A credential that cannot be used, which one, and why. */
export class AccessError extends Error {
  override name = 'AccessError';
}

interface Known {
  readonly peer: Peer;
  readonly credential: Credential;
}

export class Access {
  readonly #options: AccessOptions;
  readonly #known: readonly Known[];
  #tokens: readonly { readonly digest: Buffer; readonly peer: Peer }[];

  /** Throws `AccessError`. */
  constructor(options: AccessOptions) {
    this.#options = options;
    this.#known = [
      ...options.operators.map((row) => ({ peer: operator(row.name), credential: row })),
      ...componentsOf(options.processes).map(({ peer, row }) => ({ peer, credential: row })),
    ];
    this.#tokens = this.#readTokens();
  }

  /** Whether any token lies in a file, which may change. */
  get hasFiles(): boolean {
    return this.#known.some(({ credential }) => credential.tokenFile !== undefined);
  }

  /** Reads the token files again. Throws `AccessError`; then the old ones stay. */
  reload(): void {
    this.#tokens = this.#readTokens();
  }

  who(caller: Caller, transport: Transport): Peer | Refusal {
    const token = bearer(caller.metadata);
    if (token !== undefined) {
      const peer = this.#byToken(token);
      return peer ?? { code: status.UNAUTHENTICATED, reason: 'the token is none of those that this agent knows' };
    }
    const certificate = caller.getAuthContext().sslPeerCertificate;
    if (certificate !== undefined) return this.#byCertificate(certificate.raw);
    const trust = transport === 'network' ? 'nobody' : this.#options[transport];
    if (trust !== 'nobody') return { name: transport, role: trust, isKnown: false, mayHold: () => true };
    return {
      code: status.UNAUTHENTICATED,
      reason:
        'a token is needed here: send the metadata "authorization: Bearer TOKEN"; clients of ours read PERFOPT_CONTROL_TOKEN',
    };
  }

  /** Every token is compared, whichever fits: how long it takes tells nothing. */
  #byToken(token: string): Peer | undefined {
    const digest = digestOf(token);
    let found: Peer | undefined;
    for (const known of this.#tokens) if (timingSafeEqual(known.digest, digest)) found = known.peer;
    return found;
  }

  /** Without a row for it, a certificate is that of the process whose component it is named after. */
  #byCertificate(raw: Buffer): Peer {
    const names = namesIn(raw);
    const bare = names.map((name) => name.slice(name.indexOf(':') + 1));
    const row = this.#known.find(({ credential: { certificate } }) => {
      return certificate !== undefined && (names.includes(certificate) || bare.includes(certificate));
    });
    return row?.peer ?? processOf(new Set(bare));
  }

  #readTokens() {
    return this.#known.flatMap(({ peer, credential: { token, tokenFile } }) => {
      const text = tokenFile === undefined ? token : tokenIn(tokenFile);
      return text === undefined ? [] : [{ digest: digestOf(text), peer }];
    });
  }
}

/** Rows with the same credential are one process that may speak for all their components. */
function componentsOf(rows: AccessOptions['processes']) {
  return rows.map((row) => {
    const own = rows.filter(
      ({ token, tokenFile, certificate }) =>
        token === row.token && tokenFile === row.tokenFile && certificate === row.certificate,
    );
    return { row, peer: processOf(new Set(own.map(({ component }) => component))) };
  });
}

function operator(name: string): Peer {
  return { name: `operator ${quote(name)}`, role: 'operator', isKnown: true, mayHold: () => false };
}

function processOf(components: ReadonlySet<string>): Peer {
  const name = `process of ${[...components].map(quote).join(' or ') || 'no component'}`;
  return { name, role: 'process', isKnown: true, mayHold: (component) => components.has(component) };
}

function bearer(metadata: Metadata): string | undefined {
  const [value] = metadata.get('authorization');
  if (value === undefined) return undefined;
  // What is no bearer token fits none, and is refused as such.
  return /^bearer +(\S+) *$/i.exec(value.toString())?.[1] ?? '';
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function tokenIn(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new AccessError(
      `cannot read the token in ${path}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (text.length < MIN_TOKEN || text.length > MAX_TOKEN || /[^\x21-\x7e]/.test(text))
    throw new AccessError(`the token in ${path} is not one line of ${MIN_TOKEN} to ${MAX_TOKEN} printable characters`);
  return text;
}

/** `URI:…`, `DNS:…` and `CN:…` of a certificate. */
function namesIn(raw: Buffer): readonly string[] {
  const { subject, subjectAltName } = new X509Certificate(raw);
  const common = subject?.split('\n').flatMap((line) => (line.startsWith('CN=') ? [`CN:${line.slice(3)}`] : [])) ?? [];
  return [...alternativeNames(subjectAltName ?? ''), ...common];
}

/** Node quotes a name, as JSON, that could be taken for several; others end at the next comma. */
function alternativeNames(text: string): readonly string[] {
  return [...text.matchAll(/(?:^|, )(URI|DNS):("(?:[^"\\]|\\.)*"|[^,"]*)(?=, |$)/g)].flatMap(([, kind, name = '']) => {
    const parsed: unknown = name.startsWith('"') ? JSON.parse(name) : name;
    return typeof parsed === 'string' ? [`${kind}:${parsed}`] : [];
  });
}
