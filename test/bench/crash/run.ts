/**
 * Kills a real agent, and in turn its clients, with -9 at random instants, and counts what must never happen. Every value
 * goes through a relay that also replays and forges commands.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { Random } from '../../../agent/core/tune/random.ts';
import {
  GetSnapshotRequestSchema,
  PinRequestSchema,
  TuningService,
} from '../../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { callUnary } from '../../../agent/rpc/calls.ts';
import { decodeValue, encodeValue } from '../../../agent/rpc/knob_codec.ts';
import { AgentProcess } from '../../e2e/agent_process.ts';
import type { FromClient } from './client.ts';
import { Relay } from './relay.ts';

/** As `AgentProcess` configures it. */
const LEASE_TTL_MS = 1_500;
const GRACE_MS = 250;
/** The operator's own component: a pin ends what is on trial, so the others are left alone. */
const PINNED = 'pinned';
const PIN_EVERY_MS = 40;
const TUNED = ['alpha', 'beta'] as const;
const KNOB = 'batch_size';
/** Every so many kills it is a client that dies. */
const CLIENT_EVERY = 4;

export interface CrashReport {
  readonly kills: { readonly agent: number; readonly client: number };
  /** Decisions that the agent had told of, and pins that it had answered with success. */
  readonly acknowledged: { readonly decisions: number; readonly pins: number };
  readonly acknowledgedLost: number;
  readonly unsafeBeyondLease: number;
  readonly commands: { readonly sentTwice: number; readonly staleOrForged: number };
  readonly duplicateOrStaleObeyed: number;
  /** From the start of the new agent until it is ready, and from then until it has its last session back. */
  readonly agentStartMs: Spread;
  readonly takeOverMs: Spread;
  /** What went wrong, in words. */
  readonly breaches: readonly string[];
}

interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

interface Member {
  readonly component: string;
  process: ChildProcess;
  value: number;
  asked: number;
  /** Of the agent that set the value in force; of the agent that it was welcomed by last. */
  appliedEpoch: bigint;
  welcomedEpoch: bigint;
  welcomes: number;
}

export interface CrashPlan {
  readonly kills: number;
  readonly seed: number;
  /** Between one take-over and the next kill, at most. */
  readonly longestPauseMs: number;
}

export async function killAtRandom(plan: CrashPlan, say: (line: string) => void): Promise<CrashReport> {
  const { kills, seed, longestPauseMs } = plan;
  const random = Random.seeded(seed);
  const agent = new AgentProcess();
  const breaches: string[] = [];
  const lost: string[] = [];
  const unsafe: string[] = [];
  const obeyed: string[] = [];
  const members = new Map<string, Member>();
  const startsMs: number[] = [];
  const takeOversMs: number[] = [];
  const killed = { agent: 0, client: 0 };
  const told = new Map<string, string>();
  let waiting: (() => void) | undefined;

  const relay = new Relay(agent.controlAddress, random, {
    welcomed(component, epoch) {
      const member = members.get(component);
      if (member === undefined) return;
      member.welcomes++;
      member.welcomedEpoch = epoch;
      waiting?.();
      // What an earlier agent had set must be gone by then, or have been set anew.
      setTimeout(() => {
        const isOld = member.appliedEpoch !== epoch && member.welcomedEpoch === epoch;
        if (isOld && member.value !== 1)
          unsafe.push(`${component} holds ${member.value} of epoch ${member.appliedEpoch} in epoch ${epoch}`);
      }, LEASE_TTL_MS + GRACE_MS).unref();
    },
    applied(component, epoch) {
      const member = members.get(component);
      if (member !== undefined) member.appliedEpoch = epoch;
    },
    obeyed: (component, commandId) => obeyed.push(`${component} obeyed ${commandId}`),
  });
  const relayAddress = `unix:${join(agent.folder, 'relay.sock')}`;

  const startClient = (component: string): ChildProcess => {
    relay.forget(component);
    const client = fork(
      join(import.meta.dirname, 'client.ts'),
      [component, relayAddress, agent.otlpUrl, String(LEASE_TTL_MS), KNOB],
      { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
    );
    client.on('message', (message: FromClient) => {
      const member = members.get(component);
      if (member?.process !== client) return;
      if (message.kind === 'value') member.value = message.value;
      else if (message.kind === 'asked') {
        member.asked++;
        const different = relay.commandsFor(component);
        if (member.asked > different) obeyed.push(`${component} asked ${member.asked} times for ${different} commands`);
      } else
        unsafe.push(`${component} holds ${message.value} ${Math.round(message.aloneMs)} ms after its agent was lost`);
    });
    return client;
  };

  /** As soon as every member has been welcomed again. */
  const allWelcomed = async (since: ReadonlyMap<string, number>): Promise<void> => {
    const isMissing = (): boolean => [...since].some(([name, before]) => (members.get(name)?.welcomes ?? 0) <= before);
    while (isMissing()) await new Promise<void>((resolve) => (waiting = resolve));
  };
  const welcomesNow = (names: Iterable<string>): ReadonlyMap<string, number> =>
    new Map([...names].map((name) => [name, members.get(name)?.welcomes ?? 0]));

  const operator = new Operator(agent.controlAddress);
  try {
    await agent.start();
    await relay.listen(relayAddress);
    for (const component of [PINNED, ...TUNED]) {
      const none = { value: 1, asked: 0, appliedEpoch: 0n, welcomedEpoch: 0n, welcomes: 0 };
      members.set(component, { component, process: startClient(component), ...none });
    }
    await allWelcomed(new Map([...members.keys()].map((name) => [name, 0])));
    operator.start(() => 2 + Math.floor(random.next() * 60));

    for (let n = 1; n <= kills; n++) {
      await wait(20 + random.next() * longestPauseMs);
      if (n % CLIENT_EVERY === 0) {
        const victim = TUNED[Math.floor(random.next() * TUNED.length)]!;
        const member = members.get(victim)!;
        killed.client++;
        const gone = new Promise((resolve) => member.process.once('exit', resolve));
        member.process.kill('SIGKILL');
        await gone;
        const before = welcomesNow([victim]);
        Object.assign(member, { value: 1, asked: 0, appliedEpoch: 0n });
        member.process = startClient(victim);
        await allWelcomed(before);
      } else {
        killed.agent++;
        await agent.kill('SIGKILL');
        for (const { decision, reason } of decisionsIn(agent)) told.set(decision, reason);
        const kept = new Map(agent.decisions().map(({ id, reason }) => [id, reason]));
        for (const [id, reason] of told) if (kept.get(id) !== reason) lost.push(`decision ${id}: ${reason}`);
        const before = welcomesNow(members.keys());
        const startedMs = performance.now();
        await agent.start();
        const readyMs = performance.now();
        startsMs.push(readyMs - startedMs);
        await allWelcomed(before);
        takeOversMs.push(performance.now() - readyMs);
        const pin = await operator.pinned();
        if (pin !== undefined && !operator.mayBe(pin)) lost.push(`pin to ${operator.last}: found ${pin}`);
      }
      if (n % 20 === 0) say(`${n} kills: ${lost.length} lost, ${unsafe.length} unsafe, ${obeyed.length} obeyed`);
    }
    await wait(LEASE_TTL_MS + GRACE_MS);
  } finally {
    operator.stop();
    for (const { process } of members.values()) process.kill('SIGKILL');
    relay.close();
    await agent.dispose();
  }
  breaches.push(...lost, ...unsafe, ...obeyed);
  return {
    kills: killed,
    acknowledged: { decisions: told.size, pins: operator.acknowledged },
    acknowledgedLost: lost.length,
    unsafeBeyondLease: unsafe.length,
    commands: { sentTwice: relay.sentTwice, staleOrForged: relay.injected },
    duplicateOrStaleObeyed: obeyed.length,
    agentStartMs: spreadOf(startsMs),
    takeOverMs: spreadOf(takeOversMs),
    breaches: breaches.slice(0, 20),
  };
}

function spreadOf(timesMs: readonly number[]): Spread {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Every decision that the agent has told of: it tells once it is durable. */
function decisionsIn({ lines }: AgentProcess): readonly { readonly decision: string; readonly reason: string }[] {
  return lines.flatMap(({ decision, msg, unsaved }) =>
    typeof decision === 'string' && unsaved !== true ? [{ decision, reason: msg }] : [],
  );
}

/** A human who pins a knob to one value after another: what was answered with success must outlive the agent. */
class Operator {
  readonly #client: Client;
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;
  /** The last value that was acknowledged, and those that were asked for since: any of them may have been kept. */
  last: number | undefined;
  #asked = new Set<number>();
  acknowledged = 0;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), { 'grpc.initial_reconnect_backoff_ms': 100 });
  }

  start(next: () => number): void {
    this.#timer = setInterval(() => {
      if (!this.#isAsking) void this.#pin(next());
    }, PIN_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#client.close();
  }

  mayBe(value: number): boolean {
    return this.last === undefined || value === this.last || this.#asked.has(value);
  }

  /** What the agent now says is pinned; `undefined` where it says nothing. */
  async pinned(): Promise<number | undefined> {
    await new Promise<void>((resolve) => this.#client.waitForReady(Date.now() + 30_000, () => resolve()));
    const request = create(GetSnapshotRequestSchema, { component: PINNED });
    const { components } = await callUnary(this.#client, TuningService.method.getSnapshot, request, 10_000);
    const knob = components[0]?.knobs[0];
    if (knob === undefined) return undefined;
    if (!knob.pinned) return this.last === undefined ? undefined : Number.NaN;
    return Number(decodeValue(components[0]?.revisions.at(-1)?.setting[KNOB]) ?? Number.NaN);
  }

  async #pin(value: number): Promise<void> {
    this.#isAsking = true;
    this.#asked.add(value);
    const fields = { component: PINNED, knob: KNOB, value: encodeValue(value, 'int'), by: 'the crash benchmark' };
    try {
      await callUnary(this.#client, TuningService.method.pin, create(PinRequestSchema, fields), 2_000);
      this.last = value;
      this.#asked = new Set();
      this.acknowledged++;
    } catch {
      // The agent is being killed, or has not heard of the component yet: nothing was acknowledged.
    } finally {
      this.#isAsking = false;
    }
  }
}
