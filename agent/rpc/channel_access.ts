/**
 * How a client gets in where that takes more than reaching the address: a certificate of its own, a token, or both. The same
 * variables for every client of ours.
 */
import { readFileSync } from 'node:fs';
import {
  type ChannelCredentials,
  type ClientOptions,
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
} from '@grpc/grpc-js';

export interface ChannelAccess {
  /** Sent with every call. */
  readonly token?: string;
  /** Paths of PEM files. `ca` is who vouches for the agent; certificate and key are ours, together or not at all. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** From PERFOPT_CONTROL_TOKEN or _TOKEN_FILE, and PERFOPT_CONTROL_CA, _CERT, _KEY. Throws when a file cannot be read. */
export function accessFrom(environment: Environment): ChannelAccess {
  const { PERFOPT_CONTROL_TOKEN: given, PERFOPT_CONTROL_TOKEN_FILE: file } = environment;
  const { PERFOPT_CONTROL_CA: ca, PERFOPT_CONTROL_CERT: cert, PERFOPT_CONTROL_KEY: key } = environment;
  const token = given || (file && readFileSync(file, 'utf8').trim());
  return {
    ...(token && { token }),
    ...(ca && { tls: { ca, ...(cert && { cert }), ...(key && { key }) } }),
  };
}

/** Throws when a file cannot be read. */
export function channelCredentials({ tls }: ChannelAccess): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { ca, cert, key } = tls;
  const read = (path: string | undefined): Buffer | null => (path === undefined ? null : readFileSync(path));
  return credentials.createSsl(read(ca), read(key), read(cert));
}

export function callMetadata({ token }: ChannelAccess): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** For a client whose calls all carry the token without a word of theirs. */
export function withToken(access: ChannelAccess): ClientOptions {
  const carry: Interceptor = (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        metadata.merge(callMetadata(access));
        next(metadata, listener);
      },
    });
  return access.token === undefined ? {} : { interceptors: [carry] };
}
