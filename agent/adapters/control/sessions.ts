import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { ComponentProcess, KnobMode, Manifest } from '../../core/model.ts';
import type { ConnectRequest, ConnectResponse } from '../../gen/performance_optimizer/control/v1/control_service_pb.ts';
import type { Peer } from './access.ts';
import { quote } from './hello.ts';
import { Instances } from './instances.ts';
import type { ControlEffect, ControlLimits, ControlObserver, SessionInput } from './ports.ts';
import { Session, type SessionHouse } from './session.ts';
import type { After } from './timer.ts';

export interface SessionsOptions {
  readonly epoch: number;
  readonly heartbeatIntervalMs: number;
  readonly limits: ControlLimits;
  /** Takes what processes say; must not block. */
  inbox(input: SessionInput): void;
  /** What the tuner may do with the knobs of a component. */
  modes(component: string): ReadonlyMap<string, KnobMode>;
  /** Whether somebody else speaks for the component. */
  readonly isTaken: (component: string) => boolean;
  readonly observer: ControlObserver;
  readonly after: After;
  readonly nowMs: () => number;
}

/** The sessions that are open: one a process that lets itself be tuned, of one component or another. */
export class Sessions {
  readonly #house: SessionHouse;
  readonly #open = new Set<Session>();
  readonly #byComponent = new Map<string, Instances<Session>>();
  readonly #isTaken: (component: string) => boolean;
  readonly #inbox: (input: SessionInput) => void;

  constructor({ isTaken, inbox, ...options }: SessionsOptions) {
    this.#isTaken = isTaken;
    this.#inbox = inbox;
    this.#house = {
      ...options,
      admit: (session, manifest) => this.#admit(session, manifest),
      left: (session) => this.#left(session),
      inbox: (input, from) => this.#heard(input, from),
    };
  }

  /** A process has opened a stream. */
  connect(call: ServerDuplexStream<ConnectRequest, ConnectResponse>, peer: Peer): void {
    const { limits, observer } = this.#house;
    if (this.#open.size >= limits.maxSessions) {
      const reason = `${limits.maxSessions} sessions are open, which is all that this agent takes`;
      observer({ kind: 'session_refused', reason });
      call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: reason });
      return;
    }
    this.#open.add(new Session(call, peer, this.#house));
  }

  /** Sends a command, a renewal or a revocation to the process it is for. */
  perform(effect: ControlEffect & { kind: 'command' | 'renewal' | 'revoke' }): void {
    const component = effect.kind === 'command' ? effect.command.component : effect.component;
    const instances = this.#byComponent.get(component);
    if (instances === undefined) {
      // The engine will find in its inbox that the session has closed.
      this.#house.observer({ kind: 'effect_undeliverable', component, effect: effect.kind });
      return;
    }
    instances.perform(effect);
  }

  /** What the tuner may do has changed, or may have. */
  refreshModes(): void {
    for (const { members } of this.#byComponent.values()) for (const session of members) session.refreshModes();
  }

  processes(): readonly ComponentProcess[] {
    return [...this.#byComponent].flatMap(([component, { members }]) => {
      const pids = new Set([...members].flatMap(({ manifest }) => manifest?.pid ?? []));
      return [...pids].map((pid) => ({ component, pid }));
    });
  }

  endAll(reason: string): void {
    for (const session of [...this.#open]) session.end(status.UNAVAILABLE, reason);
  }

  #admit(session: Session, manifest: Manifest): string | undefined {
    const { component, instanceUid, incarnation } = manifest;
    if (this.#isTaken(component))
      return `component ${quote(component)} is tuned by way of feature flags: the agent's configuration says so under flags`;
    const older = this.#byComponent.get(component)?.instance(instanceUid);
    if (older === session) return undefined;
    if (older?.manifest) {
      if (incarnation < older.manifest.incarnation)
        return `a newer incarnation of instance ${quote(instanceUid)} of ${quote(component)} is connected`;
      older.end(status.ABORTED, `component ${quote(component)} was taken over by a newer session of the same instance`);
    }
    // Whoever was there may have been the last.
    let instances = this.#byComponent.get(component);
    if (instances === undefined) {
      instances = new Instances(this.#inbox);
      this.#byComponent.set(component, instances);
    }
    instances.join(session);
    return undefined;
  }

  #left(session: Session): void {
    this.#open.delete(session);
    const component = session.manifest?.component;
    const instances = component === undefined ? undefined : this.#byComponent.get(component);
    if (component === undefined || instances?.leave(session) !== true) return;
    if (instances.members.size === 0) this.#byComponent.delete(component);
  }

  #heard(input: SessionInput, from: Session): void {
    const component = from.manifest?.component ?? '';
    const instances = this.#byComponent.get(component);
    // Of the last that has left.
    if (instances === undefined) this.#inbox(input);
    else instances.heard(from, input);
  }
}
