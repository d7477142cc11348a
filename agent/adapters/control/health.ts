import { create } from '@bufbuild/protobuf';
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import {
  type Health,
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../gen/grpc/health/v1/health_pb.ts';
import type { Handlers } from '../../rpc/service_definition.ts';
import { Outgoing } from './outgoing.ts';

const MAX_WATCHERS = 64;
/** Only the latest state matters, and there are two of them in an agent's life. */
const MAX_QUEUED = 4;

/** Tells load balancers, kubelets and `grpc_health_probe` whether the agent serves. One state for all its services. */
export class HealthState {
  readonly #services: ReadonlySet<string>;
  readonly #watchers = new Set<Outgoing<HealthCheckResponse>>();
  #serving = false;

  /** `services` are the full names that may be asked for; the empty name, the whole server, always may. */
  constructor(services: readonly string[]) {
    this.#services = new Set(['', ...services]);
  }

  set serving(serving: boolean) {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const watcher of this.#watchers) watcher.send(this.#answer());
  }

  readonly handlers: Handlers<typeof Health> = {
    check: (call, callback) => {
      const { service } = call.request;
      if (this.#services.has(service)) callback(null, this.#answer());
      else callback({ code: status.NOT_FOUND, details: `unknown service ${JSON.stringify(service.slice(0, 80))}` });
    },
    watch: (call) => this.#watch(call),
  };

  endAll(reason: string): void {
    for (const watcher of this.#watchers) watcher.fail(status.UNAVAILABLE, reason);
    this.#watchers.clear();
  }

  #watch(call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>): void {
    if (this.#watchers.size >= MAX_WATCHERS) {
      call.emit('error', {
        code: status.RESOURCE_EXHAUSTED,
        details: `${MAX_WATCHERS} watchers are connected already`,
      });
      return;
    }
    const watcher = new Outgoing<HealthCheckResponse>(call, MAX_QUEUED, () => {
      this.#watchers.delete(watcher);
      watcher.fail(status.RESOURCE_EXHAUSTED, 'the watcher reads too slowly');
    });
    this.#watchers.add(watcher);
    call.on('cancelled', () => this.#watchers.delete(watcher));
    const known = this.#services.has(call.request.service);
    watcher.send(known ? this.#answer() : create(HealthCheckResponseSchema, { status: Serving.SERVICE_UNKNOWN }));
  }

  #answer(): HealthCheckResponse {
    return create(HealthCheckResponseSchema, { status: this.#serving ? Serving.SERVING : Serving.NOT_SERVING });
  }
}
