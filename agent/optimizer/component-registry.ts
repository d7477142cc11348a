import type { AIComponent } from './component.ts';
import { type Listener, Listeners } from './listeners.ts';

/** What a registry tells. */
export interface RegistryEvents extends Record<string, unknown> {
  component_registered: AIComponent;
  component_unregistered: AIComponent;
}

/** The AI components of this process, by name. */
export class ComponentRegistry {
  readonly #components = new Map<string, AIComponent>();
  readonly #listeners = new Listeners<RegistryEvents>();

  /** Tells `component_registered`. A name that is taken is refused. */
  register(component: AIComponent): void {
    const { name } = component;
    if (typeof name !== 'string' || name.trim() === '') throw new RangeError('a component needs a name');
    const known = this.#components.get(name);
    if (known === component) return;
    if (known !== undefined) throw new RangeError(`a component named ${JSON.stringify(name)} is registered already`);
    this.#components.set(name, component);
    this.#listeners.emit('component_registered', component);
  }

  /** Tells `component_unregistered`; false when there is no such component. */
  unregister(name: string): boolean {
    const component = this.#components.get(name);
    if (component === undefined) return false;
    this.#components.delete(name);
    this.#listeners.emit('component_unregistered', component);
    return true;
  }

  getComponent(name: string): AIComponent | undefined {
    return this.#components.get(name);
  }

  getComponents(): readonly AIComponent[] {
    return [...this.#components.values()];
  }

  on<T extends keyof RegistryEvents>(type: T, listener: Listener<RegistryEvents[T]>): this {
    this.#listeners.on(type, listener);
    return this;
  }

  off<T extends keyof RegistryEvents>(type: T, listener: Listener<RegistryEvents[T]>): this {
    this.#listeners.off(type, listener);
    return this;
  }
}
