/**
 * Those who are told of changes, each at its own pace: a subscriber that is slow misses what lies between and gets what is
 * true when it is ready for more. One message a subscriber is all that ever waits.
 */
import { status } from '@grpc/grpc-js';

export interface SubscriberCall {
  write(message: unknown, written: (error?: Error | null) => void): boolean;
  emit(event: 'error', error: { readonly code: status; readonly details: string }): boolean;
  on(event: 'cancelled' | 'close' | 'error', told: () => void): unknown;
}

/** One application that reads flags. */
export interface Subscriber {
  readonly call: SubscriberCall;
  /** The one component that it has named; it counts as that component's process. Absent: it looks on. */
  readonly component: string | undefined;
  mayRead(component: string): boolean;
  /** What is true now for it; `undefined` when that is nothing that it has not been told. */
  news(): unknown;
}

const MAX_SUBSCRIBERS = 128;

interface Entry {
  readonly subscriber: Subscriber;
  isWriting: boolean;
  isDirty: boolean;
}

export class Subscribers {
  readonly #entries = new Map<SubscriberCall, Entry>();
  readonly #changed: (component: string) => void;

  /** `changed`: a subscriber that counts as a component's process has come or gone. */
  constructor(changed: (component: string) => void) {
    this.#changed = changed;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many count as the process of a component. */
  of(component: string): number {
    return [...this.#entries.values()].filter(({ subscriber }) => subscriber.component === component).length;
  }

  add(subscriber: Subscriber): void {
    const { call, component } = subscriber;
    if (this.#entries.size >= MAX_SUBSCRIBERS) {
      const details = `${MAX_SUBSCRIBERS} subscribers are connected already`;
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details });
      return;
    }
    const entry = { subscriber, isWriting: false, isDirty: false };
    this.#entries.set(call, entry);
    const leave = (): void => {
      if (!this.#entries.delete(call) || component === undefined) return;
      this.#changed(component);
      this.onDelivery();
    };
    call.on('cancelled', leave);
    call.on('close', leave);
    call.on('error', leave);
    this.#tell(entry);
    if (component !== undefined) this.#changed(component);
  }

  /** Something has changed. */
  publish(): void {
    for (const entry of this.#entries.values()) this.#tell(entry);
  }

  /** Whether all that a component's subscribers were to be told is on its way: handed over to the network. */
  isDelivered(component: string): boolean {
    const own = [...this.#entries.values()].filter(({ subscriber }) => subscriber.component === component);
    return own.length > 0 && own.every(({ isWriting, isDirty }) => !isWriting && !isDirty);
  }

  /** Called whenever something was handed over. */
  onDelivery: () => void = () => {};

  endAll(reason: string): void {
    for (const { subscriber } of [...this.#entries.values()])
      subscriber.call.emit('error', { code: status.UNAVAILABLE, details: reason });
    this.#entries.clear();
  }

  #tell(entry: Entry): void {
    if (entry.isWriting) {
      entry.isDirty = true;
      return;
    }
    const news = entry.subscriber.news();
    if (news === undefined) return;
    entry.isWriting = true;
    entry.subscriber.call.write(news, () => {
      entry.isWriting = false;
      if (entry.isDirty) {
        entry.isDirty = false;
        this.#tell(entry);
      }
      if (!entry.isWriting) this.onDelivery();
    });
  }
}
