/** What every handler of a unary call needs: answers, refusals, and fields that are checked before they mean anything. */
import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { quote } from './hello.ts';

export const MAX_NAME = 200;

/** A request that cannot be meant; which field, and what is allowed, is its message. */
export class BadRequest extends Error {}

/** What the agent will not do, and why. */
export class Refused extends Error {
  readonly code: status;
  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

/** A handler that returns or throws, as grpc-js wants it. */
export function unary<Request, Response>(
  handle: (request: Request, call: ServerUnaryCall<Request, Response>) => Response | Promise<Response>,
) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    Promise.resolve(call.request)
      .then((request) => handle(request, call))
      .then((response) => callback(null, response))
      .catch((error: unknown) => callback(statusOf(error)));
  };
}

function statusOf(error: unknown): { readonly code: status; readonly details: string } {
  if (error instanceof Refused) return { code: error.code, details: error.message };
  if (error instanceof BadRequest) return { code: status.INVALID_ARGUMENT, details: error.message };
  return { code: status.INTERNAL, details: error instanceof Error ? error.message : String(error) };
}

/** The name of a component, knob, proposal or decision. */
export function name(field: string, value: string): string {
  return text(field, value, MAX_NAME);
}

/** A field of 1 to `maxLength` printable characters. */
export function text(field: string, value: string, maxLength: number): string {
  if (value.length === 0 || value.length > maxLength || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(value))
    throw new BadRequest(`${field} ${quote(value)} is not 1 to ${maxLength} characters without control characters`);
  return value;
}
