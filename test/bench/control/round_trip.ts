/**
 * From a command of the engine to the process's result in the engine's inbox: encoding, the Unix socket, the process's
 * listener, and the way back. The agent's side is this process: its control channel, its engine, and, where asked for, its
 * receiver taking points over gRPC in the same event loop.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pino } from 'pino';
import { createControlServer } from '../../../agent/adapters/control/control_server.ts';
import { DEFAULT_CONTROL_LIMITS } from '../../../agent/adapters/control/ports.ts';
import { createOtlpReceiver } from '../../../agent/adapters/otlp/receiver.ts';
import { defaultConfig } from '../../../agent/config/load.ts';
import { createEngine } from '../../../agent/core/engine.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../../agent/core/settings.ts';
import { Runtime } from '../../../agent/runtime.ts';
import { emptyPorts } from '../../wire/control-rig.ts';
import type { EchoOrder } from './echo.ts';

const EPOCH = 1;
/**
 * The compiler of V8 is at work on both sides for the first two thousand: those tell what a fresh agent takes, and are shown
 * by themselves.
 */
const COLD = 2_000;
/** A tuner does not command in bursts; back to back, one would measure the queue. */
const PAUSE_MS = 2;
/** Commands and echoes by turns of so many, so that both meet the same neighbours on the machine. */
const TURN = 100;

export interface Times {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface RoundTrip extends Times {
  readonly sessions: number;
  readonly pointsPerSecond: number;
  readonly commands: number;
  /** The first 2,000, which find both processes' code cold. */
  readonly cold: Times;
  /** gRPC and the machine without an agent, by turns with the commands: see echo.ts. */
  readonly echo: Times;
}

export async function measureRoundTrips(
  sessions: number,
  commands: number,
  pointsPerSecond: number,
): Promise<RoundTrip> {
  const folder = mkdtempSync(join(tmpdir(), 'perfopt-bench-control-'));
  const address = `unix:${join(folder, 's')}`;
  const log = pino({ level: 'silent' });
  const settings = {
    ...DEFAULT_ENGINE_SETTINGS,
    capacity: { ...DEFAULT_ENGINE_SETTINGS.capacity, maxComponents: 256 },
  };
  const engine = createEngine({
    settings: { ...settings, optimization: { ...settings.optimization, enabled: false } },
    seed: 1,
    epoch: EPOCH,
  });
  const runtime = new Runtime({
    engine,
    journal: { commit: () => {} },
    clock: { nowMs: () => Date.now() },
    tickMs: 1_000,
    maxQueuedPoints: 1_000_000,
    perform: (effect) => void (effect.kind !== 'decision' && server.perform(effect)),
    log,
  });
  const opened = new Set<string>();
  let answered = (_commandId: string): void => {};
  const server = createControlServer({
    listen: [address],
    epoch: EPOCH,
    heartbeatIntervalMs: 5_000,
    limits: { ...DEFAULT_CONTROL_LIMITS, maxSessions: sessions, messagesPerSecond: 100_000 },
    ports: emptyPorts((input) => {
      if (input.kind === 'session' && input.event === 'opened') {
        if (input.manifest.knobs.length > 0) opened.add(input.manifest.component);
      }
      if (input.kind === 'result') answered(input.commandId);
      runtime.post(input);
    }),
    observer: () => {},
  });
  const { grpc } = defaultConfig().receivers.otlp;
  const receiver = createOtlpReceiver({
    grpc: { ...grpc, address: '127.0.0.1:0' },
    http: null,
    maxResidentBytes: 2 ** 31,
    maxSeries: 10_000,
    sink: runtime,
    nowMs: () => Date.now(),
    onDefect: (error) => {
      throw error;
    },
    onCertificates: () => {},
    upstream: undefined,
  });
  runtime.start();
  await server.start();
  await receiver.start();
  const echo = fork(join(import.meta.dirname, 'echo.ts'));
  const echoed: number[] = [];
  const echoTurn = async (): Promise<void> => {
    const answer = once(echo, 'message');
    echo.send({ count: TURN, pauseMs: PAUSE_MS } satisfies EchoOrder);
    const [timesMs] = await answer;
    echoed.push(...timesMs);
  };
  const clients = fork(join(import.meta.dirname, 'sessions.ts'), [address, String(sessions)]);
  const load =
    pointsPerSecond === 0
      ? undefined
      : fork(join(import.meta.dirname, 'points.ts'), [receiver.addresses.grpc ?? '', String(pointsPerSecond)]);
  const isSending = load === undefined ? undefined : once(load, 'message');
  const isReady = once(echo, 'message');
  try {
    await isReady;
    await echoTurn();
    echoed.length = 0;
    while (opened.size < sessions) await wait(20);
    await isSending;
    const coldMs: number[] = [];
    const timesMs: number[] = [];
    for (let revision = 1; revision <= COLD + commands; revision++) {
      const component = `session-${revision % sessions}`;
      const commandId = `${component}/${revision}`;
      const result = new Promise<void>((resolve) => {
        answered = (id) => {
          if (id === commandId) resolve();
        };
      });
      const startedMs = performance.now();
      server.perform({
        kind: 'command',
        command: {
          ...{ commandId, component, epoch: EPOCH, revision, changes: [{ knob: 'batch_size', value: revision }] },
          ...{
            atomicity: 'all',
            validateOnly: false,
            leaseTtlMs: 600_000,
            onExpiry: 'baseline',
            applyDeadlineMs: 5_000,
          },
          rationale: { strategy: 'bench', reason: 'to be timed' },
        },
      });
      await result;
      const isCold = revision <= COLD;
      (isCold ? coldMs : timesMs).push(performance.now() - startedMs);
      if (!isCold && revision % TURN === 0) await echoTurn();
      await wait(PAUSE_MS);
    }
    return { sessions, pointsPerSecond, commands, ...summary(timesMs), cold: summary(coldMs), echo: summary(echoed) };
  } finally {
    clients.disconnect();
    echo.disconnect();
    load?.disconnect();
    await receiver.stop(AbortSignal.timeout(1_000));
    await server.stop(AbortSignal.timeout(1_000));
    runtime.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function summary(timesMs: readonly number[]): Times {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => Number((sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(3));
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
