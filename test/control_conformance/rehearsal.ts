/** Plays one rule: a client under test in its process, a scripted peer or a real agent, and what must be seen. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import type { KnobValue } from '../../agent/core/model.ts';
import {
  ConnectResponseSchema,
  type Hello,
  type Result,
} from '../../agent/gen/performance_optimizer/control/v1/control_service_pb.ts';
import type { KnobStatus } from '../../agent/gen/performance_optimizer/control/v1/knob_status_pb.ts';
import { TuningService } from '../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callUnary } from '../../agent/rpc/calls.ts';
import { decodeSpec, decodeValue, encodeDurationMs, encodeValue } from '../../agent/rpc/knob_codec.ts';
import { atomicityWords, onExpiryWords, stateWords } from '../../agent/rpc/words.ts';
import { AgentProcess } from '../e2e/agent_process.ts';
import { ScriptedPeer } from './peer.ts';
import type { Rule, RulesFile, Step } from './schema.ts';
import { Subject } from './subject.ts';

type StepOf<K extends string> = Extract<Step, Readonly<Record<K, unknown>>>;
type CommandStep = StepOf<'command'>['command'];

const COMPONENT = 'conformance';
/** Long enough to outlive a rule, where a rule does not say. */
const LEASE_MS = 60_000;
const DEADLINE_MS = 5_000;
const SOON_MS = 15_000;

export class Rehearsal {
  readonly #file: RulesFile;
  readonly #command: readonly [string, ...string[]];
  readonly #folder = mkdtempSync(join(tmpdir(), 'perfopt-conformance-'));
  readonly #peer = new ScriptedPeer(join(this.#folder, 'peer.sock'));
  #agent: AgentProcess | undefined;
  #subject: Subject;
  readonly #sent = new Map<string, { readonly step: CommandStep; epoch: number; nonce: string }>();
  #nonces = 0;

  constructor(file: RulesFile, command: readonly [string, ...string[]]) {
    this.#file = file;
    this.#command = command;
    this.#subject = new Subject(command);
  }

  /** What went wrong; nothing where the client keeps the rule. */
  async play({ steps }: Rule): Promise<string | undefined> {
    try {
      for (const [i, step] of steps.entries()) {
        try {
          await this.#step(step);
        } catch (error) {
          return `step ${i + 1}, ${JSON.stringify(step)}: ${error instanceof Error ? error.message : String(error)}`;
        }
      }
      return undefined;
    } finally {
      await this.#subject.end();
      this.#peer.stop();
      await this.#agent?.dispose();
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  async #step(step: Step): Promise<void> {
    if ('connect' in step) return this.#connect(step.connect);
    if ('declare' in step) return this.#do({ do: 'declare', knob: step.declare, spec: this.#file.knobs[step.declare] });
    if ('set' in step) return this.#set(step.set);
    if ('mood' in step) return this.#do({ do: 'mood', ...step.mood });
    if ('release' in step) return this.#do({ do: 'release' });
    if ('close' in step) return this.#do({ do: 'close' });
    if ('jumpWallClockMs' in step) return this.#do({ do: 'jump_wall_clock', ms: step.jumpWallClockMs });
    if ('killClient' in step) {
      await this.#subject.end();
      this.#subject = new Subject(this.#command);
      return;
    }
    if ('stopClientMs' in step) {
      this.#subject.signal('SIGSTOP');
      await pause(step.stopClientMs);
      this.#subject.signal('SIGCONT');
      return;
    }
    if ('read' in step) return same('it reads', await this.#read(step.read), step.read);
    if ('awaitRead' in step) return this.#awaitRead(step.awaitRead);
    if ('readsFasterThanUs' in step) {
      const { leastUs } = await this.#subject.ask({ do: 'time_reads' });
      if (!(Number(leastUs) < step.readsFasterThanUs)) throw new Error(`a read takes ${leastUs} µs`);
      return;
    }
    if ('told' in step) {
      const { knob, values } = step.told;
      return soon('its listener was told', values, async () => (await this.#subject.ask({ do: 'told', knob })).values);
    }
    if ('connected' in step)
      return soon(
        'it says of being connected',
        step.connected,
        async () => (await this.#subject.ask({ do: 'status' })).connected,
      );
    if ('agent' in step || 'pin' in step || 'unpin' in step || 'snapshot' in step) return this.#agentStep(step);
    return this.#peerStep(step);
  }

  async #connect({ to, knobs }: StepOf<'connect'>['connect']): Promise<void> {
    const address = to === 'agent' ? this.#agent?.controlAddress : `unix:${join(this.#folder, 'peer.sock')}`;
    const specs = Object.fromEntries(knobs.map((id) => [id, this.#file.knobs[id]]));
    await this.#do({ do: 'connect', component: COMPONENT, tier: 'stable', address, knobs: specs });
  }

  async #set({ knob, value, refused }: StepOf<'set'>['set']): Promise<void> {
    const answer = await this.#subject.ask({ do: 'set', knob, value });
    if (refused === undefined && answer.refused !== undefined) throw new Error(`refused: ${String(answer.refused)}`);
    if (refused !== undefined && !String(answer.refused ?? '').includes(refused))
      throw new Error(`expected to be refused with "${refused}", was: ${String(answer.refused)}`);
  }

  async #awaitRead({ values, withinMs, notBeforeMs = 0 }: StepOf<'awaitRead'>['awaitRead']): Promise<void> {
    const startMs = performance.now();
    for (;;) {
      const read = await this.#read(values);
      const afterMs = Math.round(performance.now() - startMs);
      if (isSame(read, values)) {
        if (afterMs < notBeforeMs) throw new Error(`already after ${afterMs} ms`);
        return;
      }
      if (afterMs > withinMs) throw new Error(`after ${afterMs} ms it still reads ${JSON.stringify(read)}`);
      await pause(5);
    }
  }

  async #read(of: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
    const { values } = await this.#subject.ask({ do: 'read' });
    const all = Object.entries(values ?? {});
    return Object.fromEntries(all.filter(([knob]) => knob in of));
  }

  async #do(request: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#subject.ask(request);
  }

  async #peerStep(step: Step): Promise<void> {
    const peer = this.#peer;
    if ('peer' in step) {
      if (step.peer === 'start') return peer.start();
      if (step.peer === 'stop') return peer.stop();
      if (step.peer === 'end_stream') return peer.endStream();
      peer.onHello = step.peer === 'welcome_from_now_on' ? 'welcome' : step.peer;
      if (step.peer === 'welcome') peer.welcome();
    } else if ('epoch' in step) peer.epoch = step.epoch;
    else if ('command' in step) {
      this.#sent.set(step.command.id, { step: step.command, epoch: step.command.epoch ?? peer.epoch, nonce: '' });
      this.#send(step.command.id);
    } else if ('again' in step) this.#send(step.again);
    else if ('renew' in step) {
      const { epoch = peer.epoch, revision, leaseMs } = step.renew;
      const value = { epoch: BigInt(epoch), revision: BigInt(revision), leaseTtl: encodeDurationMs(leaseMs) };
      peer.say({ case: 'leaseRenewal', value });
    } else if ('revoke' in step) {
      const { epoch = peer.epoch, revision, knobs } = step.revoke;
      const value = { epoch: BigInt(epoch), revision: BigInt(revision), knobs, reason: 'the script says so' };
      peer.say({ case: 'revoke', value });
    } else if ('askFullState' in step) peer.say({ case: 'reportFullState', value: { reason: 'the script asks' } });
    else if ('malformed' in step) peer.sayBytes(malformed(step.malformed, peer.epoch));
    else if ('hello' in step) {
      // A client may say Hello before it knows all its knobs; the manifest that counts is the last.
      const knobs = step.hello.knobs?.toSorted();
      const hello = await peer.take(`a Hello with ${knobs ?? 'anything'}`, (heard) =>
        heard.case === 'hello' && (!knobs || isSame(heard.value.knobs.map(({ id }) => id).sort(), knobs))
          ? heard.value
          : undefined,
      );
      this.#checkHello(hello, step.hello);
    } else if ('result' in step) {
      const { of, states } = step.result;
      const wanted = sorted(states);
      const result = await peer.take(`a result of ${of} with ${JSON.stringify(states)}`, (heard) =>
        heard.case === 'result' && heard.value.commandId === of && isSame(statesOf(heard.value), wanted)
          ? heard.value
          : undefined,
      );
      this.#checkResult(result, step.result);
    } else if ('holding' in step) {
      const heard = await peer.take('a Holding', (each) => (each.case === 'holding' ? each.value : undefined));
      this.#checkHeld(heard.held, step.holding);
    } else if ('noHolding' in step) {
      if (peer.unclaimed.some((heard) => heard.case === 'holding')) throw new Error('it said a Holding');
    } else if ('override' in step) {
      const heard = await peer.take('a ManualOverride', (each) =>
        each.case === 'manualOverride' ? each.value : undefined,
      );
      same('the override is', [heard.knob, decodeValue(heard.value)], [step.override.knob, step.override.value]);
    } else if ('heartbeats' in step) {
      const startMs = performance.now();
      for (let i = 0; i < step.heartbeats; i++)
        await peer.take('a heartbeat', (heard) => (heard.case === 'heartbeat' ? heard.value : undefined));
      const perBeatMs = (performance.now() - startMs) / step.heartbeats;
      if (perBeatMs > 3 * peer.heartbeatIntervalMs)
        throw new Error(`a heartbeat took ${Math.round(perBeatMs)} ms, the interval is ${peer.heartbeatIntervalMs}`);
    } else if ('bye' in step) await peer.take('a Bye', (heard) => (heard.case === 'bye' ? heard.value : undefined));
    else if ('silenceAbout' in step) await this.#silence(step.silenceAbout);
  }

  #send(id: string): void {
    const sent = this.#sent.get(id);
    if (!sent) throw new Error(`the rule has no command ${id}`);
    sent.nonce = `nonce-${++this.#nonces}`;
    const { step, epoch, nonce } = sent;
    const changes = Object.entries(step.changes).map(([knob, value]) => ({
      knob,
      value: this.#encode(knob, value),
      ...(step.expected?.[knob] !== undefined && { expectedCurrent: this.#encode(knob, step.expected[knob]) }),
    }));
    this.#peer.say({
      case: 'command',
      value: {
        commandId: id,
        epoch: BigInt(epoch),
        revision: BigInt(step.revision),
        nonce,
        changes,
        atomicity: atomicityWords.encode(step.atomicity ?? 'per_knob'),
        validateOnly: step.validateOnly ?? false,
        leaseTtl: encodeDurationMs(step.leaseMs ?? LEASE_MS),
        onExpiry: onExpiryWords.encode(step.onExpiry ?? 'baseline'),
        applyDeadline: encodeDurationMs(step.deadlineMs ?? DEADLINE_MS),
        rationale: { strategy: 'conformance', reason: 'the script says so' },
      },
    });
  }

  #encode(knob: string, value: KnobValue) {
    return encodeValue(value, this.#file.knobs[knob]?.type);
  }

  #checkHello(hello: Hello, wanted: StepOf<'hello'>['hello']): void {
    if (hello.component !== COMPONENT) throw new Error(`its component is ${hello.component}`);
    if (hello.instanceUid === '' || hello.incarnation === 0n) throw new Error('no instance_uid or incarnation');
    if (wanted.sameInstance && this.#peer.instances.size > 1) throw new Error('it says that it is another instance');
    if (wanted.knobs) {
      for (const wire of hello.knobs) {
        const spec = decodeSpec(wire);
        if ('problem' in spec) throw new Error(`${wire.id}: ${spec.field} ${spec.problem}`);
        const { default: baseline, applies = 'hot', ...rest } = this.#file.knobs[wire.id]!;
        const scale = ['int', 'double', 'duration'].includes(spec.type) ? { scale: 'linear' } : {};
        const expected = { ...scale, ...rest, baseline, applyClass: applies };
        const said = Object.fromEntries(Object.entries(spec).filter(([field]) => field in expected));
        same(`knob ${wire.id} is`, sorted(said), sorted(expected));
      }
    }
    this.#checkHeld(hello.held, wanted);
    if (wanted.lastSeenRevision !== undefined)
      same('the last revision that it saw is', Number(hello.lastSeenRevision), wanted.lastSeenRevision);
  }

  #checkHeld(said: Hello['held'], wanted: Pick<StepOf<'hello'>['hello'], 'held' | 'byHand'>): void {
    const held = Object.fromEntries(
      said
        .filter(({ manual }) => !manual)
        .map(({ knob, value, epoch, revision }) => [
          knob,
          { value: decodeValue(value), epoch: Number(epoch), revision: Number(revision) },
        ]),
    );
    if (wanted.held) same('it holds', held, wanted.held);
    const byHand = said.filter(({ manual }) => manual).map(({ knob, value }) => [knob, decodeValue(value)]);
    if (wanted.byHand) same('a hand has set', Object.fromEntries(byHand), wanted.byHand);
  }

  #checkResult(result: Result, wanted: StepOf<'result'>['result']): void {
    const sent = this.#sent.get(wanted.of);
    if (wanted.nonce === 'empty') same('its nonce is', result.nonce, '');
    else same('its nonce is', result.nonce, sent?.nonce);
    for (const { knob, state, error, attemptedRevision, effectiveValue, effectiveRevision } of result.knobResults) {
      const word = stateWords.decode(state);
      const isFine = word === 'applied' || word === 'applying' || word === 'draining';
      if (isFine !== (error === '')) throw new Error(`${knob} is ${word} with the error "${error}"`);
      same(`${knob}: attempted_revision is`, Number(attemptedRevision), sent?.step.revision);
      const reason = wanted.error?.[knob];
      if (reason !== undefined && !error.includes(reason)) throw new Error(`${knob}: its error is "${error}"`);
      const effective = wanted.effective?.[knob];
      if (effective !== undefined) same(`${knob}: effective_value is`, decodeValue(effectiveValue), effective);
      const revision = wanted.effectiveRevision?.[knob];
      if (revision !== undefined) same(`${knob}: effective_revision is`, Number(effectiveRevision), revision);
    }
  }

  /** A command that cannot do anything, sent last: its answer says that all before it has been worked off. */
  async #silence(ids: readonly string[]): Promise<void> {
    const id = `barrier-${this.#nonces}`;
    const step = { id, revision: 1_000_000, changes: { 'no-such-knob': 1 }, validateOnly: true };
    this.#sent.set(id, { step, epoch: this.#peer.epoch, nonce: '' });
    this.#send(id);
    await this.#peer.take('the answer to a barrier', (heard) =>
      heard.case === 'result' && heard.value.commandId === id ? true : undefined,
    );
    for (const heard of this.#peer.unclaimed)
      if (heard.case === 'result' && ids.includes(heard.value.commandId))
        throw new Error(`it answered ${heard.value.commandId}`);
  }

  async #agentStep(step: StepOf<'agent'> | StepOf<'pin'> | StepOf<'unpin'> | StepOf<'snapshot'>): Promise<void> {
    if ('agent' in step) {
      this.#agent ??= new AgentProcess();
      if (step.agent === 'kill') await this.#agent.kill();
      else await this.#startAgent(this.#agent);
      return;
    }
    const client = new Client(this.#agent?.controlAddress ?? '', credentials.createInsecure());
    const { method } = TuningService;
    const knobStatus = async (id: string): Promise<{ knob: KnobStatus | undefined; connected: boolean }> => {
      const { components } = await callUnary(client, method.getSnapshot, request({ component: COMPONENT }), 5_000);
      const [state] = components;
      return { knob: state?.knobs.find(({ spec }) => spec?.id === id), connected: state?.connected ?? false };
    };
    function request(fields: { component: string }) {
      return create(method.getSnapshot.input, fields);
    }
    try {
      if ('pin' in step) {
        const { knob, value } = step.pin;
        // The tuner knows the knob some moments after the client knows that it is connected.
        await soon('the agent knows the knob', true, async () => (await knobStatus(knob)).knob !== undefined);
        const pin = create(method.pin.input, {
          component: COMPONENT,
          knob,
          value: this.#encode(knob, value),
          by: 'me',
        });
        await callUnary(client, method.pin, pin, 5_000);
      } else if ('unpin' in step) {
        const unpin = create(method.unpin.input, { component: COMPONENT, knob: step.unpin, by: 'me' });
        await callUnary(client, method.unpin, unpin, 5_000);
      } else {
        const { knob: id, lastError, ...wanted } = step.snapshot;
        await soon('the agent says', { ...wanted, lastError: true }, async () => {
          const { knob, connected } = await knobStatus(id);
          const all = { effective: decodeValue(knob?.effective), pinned: knob?.pinned, connected };
          const said = Object.entries(all).filter(([field]) => field in wanted);
          return {
            ...Object.fromEntries(said),
            lastError: knob?.lastError.includes(lastError ?? '') || String(knob?.lastError),
          };
        });
      }
    } finally {
      client.close();
    }
  }

  async #startAgent(agent: AgentProcess): Promise<void> {
    const { agentLeaseMs } = this.#file;
    const control = {
      socket: agent.controlAddress.slice('unix:'.length),
      address: null,
      heartbeatInterval: Math.round(agentLeaseMs / 4),
      leaseTtl: agentLeaseMs,
      applyDeadline: 500,
    };
    await agent.start({ control, gpu: { source: 'none' } });
  }
}

function malformed(kind: StepOf<'malformed'>['malformed'], epoch: number): Uint8Array {
  if (kind === 'bytes') return Uint8Array.of(0x12, 0xff, 0xff, 0x03, 0x01);
  if (kind === 'empty') return new Uint8Array();
  const value =
    kind === 'nan'
      ? encodeValue(Number.NaN, 'double')
      : kind === 'infinite'
        ? encodeValue(Number.POSITIVE_INFINITY, 'double')
        : encodeValue(16, 'int');
  const knob = kind === 'nan' || kind === 'infinite' ? 'ratio' : 'batch';
  const change = kind === 'no_value' ? { knob } : { knob, value };
  const command = {
    commandId: kind === 'no_command_id' ? '' : 'bad',
    epoch: BigInt(epoch),
    revision: 1n,
    nonce: 'n',
    changes: kind === 'knob_twice' ? [change, change] : [change],
    leaseTtl: encodeDurationMs(LEASE_MS),
    applyDeadline: encodeDurationMs(DEADLINE_MS),
  };
  return toBinary(
    ConnectResponseSchema,
    create(ConnectResponseSchema, { message: { case: 'command', value: command } }),
  );
}

function statesOf({ knobResults }: Result): Record<string, unknown> {
  return sorted(Object.fromEntries(knobResults.map(({ knob, state }) => [knob, stateWords.decode(state)])));
}

function sorted(entries: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isSame(a: unknown, b: unknown): boolean {
  const plain = (thing: unknown): unknown =>
    typeof thing === 'object' && thing !== null && !Array.isArray(thing)
      ? sorted(Object.fromEntries(Object.entries(thing).map(([key, value]) => [key, plain(value)])))
      : thing;
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
}

function same(what: string, found: unknown, wanted: unknown): void {
  if (!isSame(found, wanted)) throw new Error(`${what} ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}`);
}

async function soon(what: string, wanted: unknown, find: () => Promise<unknown>): Promise<void> {
  const untilMs = performance.now() + SOON_MS;
  for (;;) {
    const found = await find();
    if (isSame(found, wanted)) return;
    if (performance.now() > untilMs) return same(what, found, wanted);
    await pause(10);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}
