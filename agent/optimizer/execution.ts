import type { AIComponent, AIRequest, ExecutionContext, ResourceAllocation } from './component.ts';

/** What was measured of one request. */
export interface MonitoredResponse<Result = unknown> {
  /** What the component answered. */
  readonly result: Result;
  /** Milliseconds. */
  readonly executionTime: number;
  /** The request ran with at least one proven change in force. */
  readonly optimized: boolean;
  readonly allocation: ResourceAllocation;
}

/** What a component's `process` or `execute` answers with. */
export type Answer<C> = C extends { process(...given: never[]): infer R }
  ? Awaited<R>
  : C extends { execute(...given: never[]): infer R }
    ? Awaited<R>
    : unknown;

/** The component did not answer within its timeout. */
export class RequestTimeoutError extends Error {
  override readonly name = 'RequestTimeoutError';
  readonly component: string;
  readonly timeoutMs: number;

  constructor(component: string, timeoutMs: number) {
    super(`${component} did not answer within its timeout of ${timeoutMs} ms`);
    this.component = component;
    this.timeoutMs = timeoutMs;
  }
}

/** setTimeout takes 31 bits. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Runs a request within the component's timeout. What the component throws is thrown on, as it is. */
export async function execute(component: AIComponent, request: AIRequest, allocation: ResourceAllocation) {
  const { timeout } = component;
  const controller = new AbortController();
  const context: ExecutionContext = { allocation, signal: controller.signal };
  if (!(timeout > 0 && timeout <= MAX_TIMEOUT_MS)) return answer(component, request, context);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new RequestTimeoutError(component.name, timeout);
      reject(error);
      controller.abort(error);
    }, timeout);
  });
  try {
    return await Promise.race([answer(component, request, context), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function answer(component: AIComponent, request: AIRequest, context: ExecutionContext): Promise<unknown> {
  if (component.process !== undefined) return component.process(request, context);
  if (component.execute !== undefined) return component.execute(request, context);
  throw new TypeError(`component ${component.name} has neither process nor execute`);
}

/** An allocation that can be meant; throws what is wrong with any other. */
export function checkAllocation(allocation: ResourceAllocation): void {
  const { cpu, memory, gpu } = allocation;
  const isPercent = (value: number): boolean => value >= 0 && value <= 100;
  if (!isPercent(cpu)) throw new RangeError(`allocation.cpu is ${cpu}; allowed: 0 to 100 percent`);
  if (!isPercent(gpu)) throw new RangeError(`allocation.gpu is ${gpu}; allowed: 0 to 100 percent`);
  if (!(memory >= 0 && Number.isFinite(memory))) throw new RangeError(`allocation.memory is ${memory}; allowed: MiB`);
}
