import { encodeRequest } from '../../wire/otlp_schema.ts';
import { framed, type GrpcClient, type HttpClient, httpPartialOf, JSON_TYPE, PROTOBUF, partialOf } from './clients.ts';

/** Whom to talk to, and how much the checks may ask of it. */
export interface Target {
  readonly grpc: string | undefined;
  readonly http: string | undefined;
  /** The receiver's limit of a request. */
  readonly maxBytes: number;
  /** How much is sent at once, unfinished, to see a refusal. */
  readonly overloadBytes: number;
  /** Stops the receiver and returns when it has; where it may be stopped. */
  readonly stop?: (() => Promise<void>) | undefined;
}

/** One thing that was looked at. `holds` is absent where it could not be seen. */
export interface Finding {
  readonly what: string;
  readonly holds?: boolean;
  readonly evidence: string;
}

export interface Rule {
  readonly id: string;
  readonly rule: string;
  check(target: Target): Promise<readonly Finding[]>;
}

export interface Row {
  readonly id: string;
  readonly rule: string;
  /** `unseen`: a client alone cannot tell, and the evidence says why. */
  readonly result: 'pass' | 'fail' | 'unseen';
  readonly evidence: string;
}

export function finding(what: string, holds: boolean, seen: unknown): Finding {
  return { what, holds, evidence: typeof seen === 'string' ? seen : JSON.stringify(seen) };
}
export const unseen = (what: string, why: string): Finding => ({ what, evidence: why });

/** What a request met, in a word: the same for both transports. */
export interface Verdict {
  readonly ok: boolean;
  readonly rejected: number;
  readonly text: string;
}

/** Sends a request over gRPC, as protobuf over HTTP and as JSON over HTTP, where the target has them. */
export async function everywhere(
  clients: { readonly grpc?: GrpcClient | undefined; readonly http?: HttpClient | undefined },
  message: object,
): Promise<readonly (readonly [where: string, Verdict])[]> {
  const verdicts: [string, Verdict][] = [];
  const bytes = encodeRequest(message);
  if (clients.grpc !== undefined) {
    const answer = await clients.grpc.send(framed(bytes));
    const partial = answer.code === 0 ? partialOf(answer) : undefined;
    const text = `code ${answer.code}${answer.message === '' ? '' : ` ${answer.message}`}`;
    verdicts.push(['grpc', { ok: answer.code === 0, ...said(partial, text) }]);
  }
  if (clients.http !== undefined) {
    for (const [where, type, body] of [
      ['http', PROTOBUF, bytes],
      ['json', JSON_TYPE, JSON.stringify(message, nonFinite)],
    ] as const) {
      const answer = await clients.http.send(body, { type });
      const partial = answer.status === 200 ? httpPartialOf(answer) : undefined;
      verdicts.push([where, { ok: answer.status === 200, ...said(partial, `status ${answer.status}`) }]);
    }
  }
  return verdicts;
}

/** JSON has no number for them. */
function nonFinite(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function said(partial: { rejected: number; message: string } | undefined, text: string) {
  if (partial === undefined) return { rejected: 0, text };
  return { rejected: partial.rejected, text: `${text}, ${partial.rejected} rejected: ${partial.message}` };
}
