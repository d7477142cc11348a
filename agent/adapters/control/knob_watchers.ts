import { create } from '@bufbuild/protobuf';
import { Metadata, type ServerWritableStream, status } from '@grpc/grpc-js';
import {
  type WatchKnobsRequest,
  type WatchKnobsResponse,
  WatchKnobsResponseSchema,
} from '../../gen/performance_optimizer/control/v1/knob_watch_pb.ts';
import { decodeInteger } from '../../rpc/knob_codec.ts';
import type { Peer } from './access.ts';
import { encodeKnob } from './encode_views.ts';
import { quote } from './hello.ts';
import { type KnobEntry, KnobLog } from './knob_log.ts';
import { Outgoing } from './outgoing.ts';
import type { ControlLimits, ControlObserver, ControlPorts } from './ports.ts';

type Call = ServerWritableStream<WatchKnobsRequest, WatchKnobsResponse>;

interface KnobWatcher {
  readonly component: string;
  readonly out: Outgoing<WatchKnobsResponse>;
}

export interface KnobWatchersOptions {
  readonly epoch: number;
  readonly ports: Pick<ControlPorts, 'component'>;
  readonly limits: ControlLimits;
  readonly observer: ControlObserver;
}

/** Those who watch knobs. What may have changed is looked at once in a turn of the event loop, when the engine has had its own. */
export class KnobWatchers {
  readonly #options: KnobWatchersOptions;
  readonly #log: KnobLog;
  readonly #watchers = new Set<KnobWatcher>();
  readonly #touched = new Set<string>();

  constructor(options: KnobWatchersOptions) {
    this.#options = options;
    this.#log = new KnobLog(options.limits.maxKnobChanges);
  }

  /** Something was said by or to this component that may have changed its knobs. */
  touch(component: string): void {
    this.#touched.add(component);
    if (this.#touched.size === 1) setImmediate(() => this.#look());
  }

  /** Something was done that may have changed any knob. */
  touchAll(): void {
    for (const component of this.#log.components) this.touch(component);
  }

  add(call: Call, peer: Peer): void {
    const refusal = this.#whyNot(call.request, peer);
    if (refusal !== undefined) {
      call.emit('error', refusal);
      return;
    }
    const { component, startRevision } = call.request;
    // Nothing that has happened may be told twice: as part of the state, and as news.
    this.#look();
    const entries = startRevision === 0n ? this.#log.state() : this.#log.since(Number(startRevision));
    if (typeof entries === 'string') {
      call.emit('error', { code: status.OUT_OF_RANGE, details: `${entries}; begin again at 0` });
      return;
    }
    const { maxQueuedMessages } = this.#options.limits;
    const watcher: KnobWatcher = {
      component,
      out: new Outgoing(call, maxQueuedMessages, () => {
        this.#watchers.delete(watcher);
        this.#options.observer({ kind: 'watcher_cut', service: 'WatchKnobs' });
        watcher.out.fail(status.RESOURCE_EXHAUSTED, 'the watcher reads too slowly: its queue has run over');
      }),
    };
    this.#watchers.add(watcher);
    call.on('cancelled', () => this.#watchers.delete(watcher));
    call.sendMetadata(new Metadata());
    const wanted = entries.filter((entry) => wants(watcher, entry));
    if (startRevision === 0n || wanted.length > 0) watcher.out.send(this.#message(wanted, startRevision === 0n));
  }

  endAll(reason: string): void {
    for (const { out } of this.#watchers) out.fail(status.UNAVAILABLE, reason);
    this.#watchers.clear();
  }

  #whyNot({ component, epoch, startRevision }: WatchKnobsRequest, peer: Peer) {
    const { limits, epoch: ours } = this.#options;
    if (this.#watchers.size >= limits.maxWatchers)
      return { code: status.RESOURCE_EXHAUSTED, details: `${limits.maxWatchers} watchers are connected already` };
    if (peer.role === 'process' && peer.isKnown && !peer.mayHold(component))
      return {
        code: status.PERMISSION_DENIED,
        details: `${peer.name} may watch its own component only, not ${component === '' ? 'all' : quote(component)}`,
      };
    if (startRevision !== 0n && (epoch !== BigInt(ours) || decodeInteger(startRevision) === undefined))
      return { code: status.OUT_OF_RANGE, details: `the agent's epoch is ${ours}, not ${epoch}; begin again at 0` };
    return undefined;
  }

  #look(): void {
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const component of touched) {
      const snapshot = this.#options.ports.component(component);
      if (snapshot === undefined) continue;
      const changed = this.#log.record(snapshot);
      if (changed.length === 0) continue;
      let message: WatchKnobsResponse | undefined;
      for (const watcher of [...this.#watchers]) {
        if (watcher.component !== '' && watcher.component !== component) continue;
        message ??= this.#message(changed, false);
        watcher.out.send(message);
      }
    }
  }

  #message(entries: readonly KnobEntry[], isSnapshot: boolean): WatchKnobsResponse {
    return create(WatchKnobsResponseSchema, {
      epoch: BigInt(this.#options.epoch),
      revision: BigInt(isSnapshot ? this.#log.revision : (entries.at(-1)?.revision ?? this.#log.revision)),
      isSnapshot,
      updates: [...entries]
        .sort((a, b) => a.revision - b.revision)
        .map(({ component, knob, revision, status: knobStatus }) => ({
          component,
          knob,
          revision: BigInt(revision),
          ...(knobStatus !== undefined && { status: encodeKnob(knobStatus) }),
        })),
    });
  }
}

function wants({ component }: KnobWatcher, entry: KnobEntry): boolean {
  return component === '' || component === entry.component;
}
