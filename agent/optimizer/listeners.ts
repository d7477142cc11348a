/** A listener may be asynchronous; nobody waits for it. */
export type Listener<T> = (event: T) => unknown;

/** Listeners by event name. One that throws, or rejects, harms neither the others nor whoever tells them. */
export class Listeners<Events extends { readonly [type: string]: unknown }> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();
  readonly #failed: (error: unknown, type: string) => void;

  /** `failed` is told what a listener threw. */
  constructor(failed: (error: unknown, type: string) => void = () => undefined) {
    this.#failed = failed;
  }

  on<T extends keyof Events>(type: T, listener: Listener<Events[T]>): void {
    const known = this.#listeners.get(type);
    if (known === undefined) this.#listeners.set(type, new Set([listener]));
    else known.add(listener);
  }

  off<T extends keyof Events>(type: T, listener: Listener<Events[T]>): void {
    this.#listeners.get(type)?.delete(listener);
  }

  emit<T extends keyof Events & string>(type: T, event: Events[T]): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) void this.#tell(listener, event, type);
  }

  async #tell<T extends keyof Events & string>(listener: Listener<never>, event: Events[T], type: T): Promise<void> {
    try {
      // `on` is the only way in, and it takes listeners of this event only.
      await (listener as Listener<Events[T]>)(event);
    } catch (error) {
      this.#failed(error, type);
    }
  }
}
