import { type CertificateFiles, Certificates } from '../../rpc/certificates.ts';
import type { ReceiverCounters } from './counters.ts';
import { createOtlpGrpcReceiver, type OtlpTransport } from './grpc.ts';
import { createOtlpHttpReceiver, type OtlpHttpOptions } from './http.ts';
import { memoryCeiling } from './memory_gate.ts';
import { createReception, type ReceptionOptions } from './reception.ts';

interface TransportOptions {
  /** `host:port`, `[ipv6]:port` (port 0: any that is free) or `unix:/path`. */
  readonly address: string;
  /** Largest request, also after decompression. */
  readonly maxMessageBytes: number;
  /** Most bytes of requests between their first byte and their answer, all clients together. */
  readonly maxInFlightBytes: number;
  readonly tls: CertificateFiles | null;
}

export interface OtlpReceiverOptions extends Omit<ReceptionOptions, 'residentBytes'> {
  readonly grpc: TransportOptions;
  /** `null`: not over HTTP. */
  readonly http: (TransportOptions & { readonly paths: OtlpHttpOptions['paths'] }) | null;
  /** New certificates of this transport were taken into use, or cannot be. */
  readonly onCertificates: (transport: 'grpc' | 'http', problem: Error | undefined) => void;
}

export interface OtlpReceiver {
  readonly counters: Readonly<ReceiverCounters>;
  /** Where it listens, with the ports that it got; `undefined` for what is not started. */
  readonly addresses: { readonly grpc: string | undefined; readonly http: string | undefined };
  /** Throws `OtlpListenError` when an address cannot be had. */
  start(): Promise<void>;
  /** Lets requests that are arriving finish until the deadline. After it returns, nothing reaches the sink. */
  stop(deadline: AbortSignal): Promise<void>;
  /** Frees the series that no request has named for `idleMs`. Call it now and then. */
  evictIdle(idleMs: number): number;
}

const RELOAD_CERTIFICATES_MS = 10_000;

/** OTLP over gRPC and HTTP. Throws `CertificateError` when a certificate cannot be used. */
export function createOtlpReceiver(options: OtlpReceiverOptions): OtlpReceiver {
  const { grpc: grpcOptions, http: httpOptions, maxResidentBytes, onCertificates } = options;
  const reception = createReception({
    ...options,
    maxResidentBytes: memoryCeiling(maxResidentBytes, process.constrainedMemory()),
  });
  const certificates: Certificates[] = [];
  const load = (transport: 'grpc' | 'http', files: CertificateFiles | null): Certificates | undefined => {
    if (files === null) return undefined;
    const loaded = new Certificates({
      files,
      reloadEveryMs: RELOAD_CERTIFICATES_MS,
      onReload: (problem) => onCertificates(transport, problem),
    });
    certificates.push(loaded);
    return loaded;
  };
  const grpc = createOtlpGrpcReceiver({ ...grpcOptions, reception, certificates: load('grpc', grpcOptions.tls) });
  const http: OtlpTransport | undefined =
    httpOptions === null
      ? undefined
      : createOtlpHttpReceiver({ ...httpOptions, reception, certificates: load('http', httpOptions.tls) });

  const stop = async (deadline: AbortSignal): Promise<void> => {
    for (const each of certificates) each.close();
    await Promise.all([grpc.stop(deadline), http?.stop(deadline)]);
  };
  return {
    counters: reception.counters,
    get addresses() {
      return { grpc: grpc.address, http: http?.address };
    },
    async start() {
      try {
        await grpc.start();
        await http?.start();
      } catch (error) {
        await stop(AbortSignal.abort());
        throw error;
      }
      for (const each of certificates) each.watch();
    },
    stop,
    evictIdle: reception.evictIdle,
  };
}
