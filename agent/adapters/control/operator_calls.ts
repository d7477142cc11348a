import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { OperatorAction } from '../../core/model.ts';
import type { ControlEffect, ControlInput } from './ports.ts';
import type { After } from './timer.ts';

/** An answer to an operator: what was done, or the gRPC status that says why not. */
export type Answer =
  | { readonly ok: true; readonly message: string; readonly proposalId?: string; readonly decisionId?: string }
  | { readonly ok: false; readonly code: status; readonly message: string };

/** Operators' requests on their way through the engine: each ends in its reply, or at its deadline. */
export class OperatorCalls {
  readonly #pending = new Map<string, (answer: Answer) => void>();
  readonly #inbox: (input: ControlInput) => void;
  readonly #after: After;
  readonly #limits: { readonly maxPendingRequests: number; readonly operatorDeadlineMs: number };

  constructor(
    inbox: (input: ControlInput) => void,
    after: After,
    limits: { readonly maxPendingRequests: number; readonly operatorDeadlineMs: number },
  ) {
    this.#inbox = inbox;
    this.#after = after;
    this.#limits = limits;
  }

  ask(by: string, action: OperatorAction, dryRun: boolean): Promise<Answer> {
    const { maxPendingRequests, operatorDeadlineMs } = this.#limits;
    if (this.#pending.size >= maxPendingRequests) {
      const message = `${maxPendingRequests} requests are waiting already; try again later`;
      return Promise.resolve({ ok: false, code: status.RESOURCE_EXHAUSTED, message });
    }
    const requestId = randomUUID();
    return new Promise((resolve) => {
      const finish = (answer: Answer): void => {
        this.#pending.delete(requestId);
        callOff();
        resolve(answer);
      };
      const callOff = this.#after(operatorDeadlineMs, () =>
        finish({
          ok: false,
          code: status.DEADLINE_EXCEEDED,
          message: `the tuner has not answered within ${operatorDeadlineMs} ms; it may still do what was asked`,
        }),
      );
      this.#pending.set(requestId, finish);
      this.#inbox({ kind: 'operator', request: { requestId, by, ...action, ...(dryRun && { dryRun }) } });
    });
  }

  /** The engine has answered. */
  reply({ kind, requestId, ok, message, ...ids }: ControlEffect & { kind: 'reply' }): void {
    const finish = this.#pending.get(requestId);
    finish?.(ok ? { ok, message, ...ids } : { ok, code: status.FAILED_PRECONDITION, message });
  }

  endAll(message: string): void {
    for (const finish of [...this.#pending.values()]) finish({ ok: false, code: status.UNAVAILABLE, message });
  }
}
