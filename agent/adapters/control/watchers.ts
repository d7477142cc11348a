import { create, type JsonObject } from '@bufbuild/protobuf';
import { Metadata, type ServerWritableStream, status } from '@grpc/grpc-js';
import type { OptimizerEvent } from '../../core/model.ts';
import {
  type WatchEventsRequest,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from '../../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { encodeTimeMs } from '../../rpc/knob_codec.ts';
import { Outgoing } from './outgoing.ts';
import type { ControlLimits, ControlObserver } from './ports.ts';

interface Watcher {
  readonly out: Outgoing<WatchEventsResponse>;
  readonly wants: (event: OptimizerEvent) => boolean;
}

/** Those who watch events. Each has its own bounded queue, so that a slow one holds up nobody. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();
  readonly #limits: ControlLimits;
  readonly #observer: ControlObserver;

  constructor(limits: ControlLimits, observer: ControlObserver) {
    this.#limits = limits;
    this.#observer = observer;
  }

  add(call: ServerWritableStream<WatchEventsRequest, WatchEventsResponse>): void {
    const { maxWatchers, maxQueuedMessages } = this.#limits;
    if (this.#watchers.size >= maxWatchers) {
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `${maxWatchers} watchers are connected already` });
      return;
    }
    const { component, types } = call.request;
    const wantedTypes = new Set(types);
    const watcher: Watcher = {
      out: new Outgoing(call, maxQueuedMessages, () => {
        this.#watchers.delete(watcher);
        this.#observer({ kind: 'watcher_cut', service: 'WatchEvents' });
        watcher.out.fail(status.RESOURCE_EXHAUSTED, 'the watcher reads too slowly: its queue has run over');
      }),
      wants: (event) =>
        (component === '' || event.component === component) && (wantedTypes.size === 0 || wantedTypes.has(event.type)),
    };
    this.#watchers.add(watcher);
    call.on('cancelled', () => this.#watchers.delete(watcher));
    // The headers tell the watcher that it has missed nothing from here on.
    call.sendMetadata(new Metadata());
  }

  publish(event: OptimizerEvent): void {
    if (this.#watchers.size === 0) return;
    let message: WatchEventsResponse | undefined;
    for (const watcher of [...this.#watchers]) {
      if (!watcher.wants(event)) continue;
      message ??= encodeEvent(event);
      watcher.out.send(message);
    }
  }

  endAll(reason: string): void {
    for (const { out } of this.#watchers) out.fail(status.UNAVAILABLE, reason);
    this.#watchers.clear();
  }
}

function encodeEvent({ type, component, atMs, data }: OptimizerEvent): WatchEventsResponse {
  // What JSON cannot say (NaN, functions, undefined) becomes null or goes.
  const json: JsonObject = JSON.parse(
    JSON.stringify(data, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
  );
  return create(WatchEventsResponseSchema, { type, component, time: encodeTimeMs(atMs), data: json });
}
