/**
 * A process of its own beside the overload: asks the agent for a snapshot twenty times a second, freezes and unfreezes a
 * component once a second (through the engine's inbox and, as a decision, to the disk), and keeps a tuner connected.
 * Started with the control address; told `stop`, it answers with its readings.
 */
import { create } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { connectTuner } from '../../../agent/client/typescript/tuner.ts';
import { TuningService } from '../../../agent/gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { grpcTarget, parseAddress } from '../../../agent/rpc/address.ts';
import { callUnary } from '../../../agent/rpc/calls.ts';

const COMPONENT = 'overload-bench';
const SNAPSHOT_EVERY_MS = 50;
const FREEZE_EVERY_MS = 1_000;
const DEADLINE_MS = 10_000;

export interface Latencies {
  readonly answered: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface ProbeReadings {
  readonly snapshot: Latencies;
  readonly freeze: Latencies;
  /** Times that the session broke. */
  readonly sessionsLost: number;
}

class Meter {
  readonly #ms: number[] = [];
  #failed = 0;
  readonly #open = new Set<Promise<void>>();

  /** Does not wait for the one before: a stall is seen by all that come meanwhile. */
  measure(call: () => Promise<unknown>): void {
    const startedMs = performance.now();
    const done = call().then(
      () => {
        this.#ms.push(performance.now() - startedMs);
      },
      () => {
        this.#failed += 1;
      },
    );
    this.#open.add(done);
    void done.then(() => this.#open.delete(done));
  }

  async read(): Promise<Latencies> {
    await Promise.all(this.#open);
    const sorted = this.#ms.toSorted((a, b) => a - b);
    const at = (share: number): number =>
      Number((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(2));
    return { answered: sorted.length, failed: this.#failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  }
}

async function probe(address: string): Promise<void> {
  let sessionsLost = 0;
  const tuner = await connectTuner({
    component: COMPONENT,
    tier: 'stable',
    address,
    onStatus: ({ state }) => {
      if (state === 'disconnected') sessionsLost += 1;
    },
  });
  tuner.int('batch_size', { default: 8, min: 1, max: 64, applies: 'hot' });
  const client = new Client(grpcTarget(parseAddress(address)), credentials.createInsecure());
  const { getSnapshot, freeze, unfreeze } = TuningService.method;
  const [snapshots, freezes] = [new Meter(), new Meter()];
  let isFrozen = false;
  const timers = [
    setInterval(
      () => snapshots.measure(() => callUnary(client, getSnapshot, create(getSnapshot.input, {}), DEADLINE_MS)),
      SNAPSHOT_EVERY_MS,
    ),
    setInterval(() => {
      const by = { component: COMPONENT, by: 'bench' };
      const [thaw, stop] = [create(unfreeze.input, by), create(freeze.input, { ...by, reason: 'measuring' })];
      const wasFrozen = isFrozen;
      isFrozen = !isFrozen;
      freezes.measure(() =>
        wasFrozen ? callUnary(client, unfreeze, thaw, DEADLINE_MS) : callUnary(client, freeze, stop, DEADLINE_MS),
      );
    }, FREEZE_EVERY_MS),
  ];
  process.once('message', async () => {
    for (const timer of timers) clearInterval(timer);
    const readings: ProbeReadings = {
      snapshot: await snapshots.read(),
      freeze: await freezes.read(),
      sessionsLost,
    };
    tuner.close();
    client.close();
    process.send?.(readings, () => process.disconnect());
  });
  process.send?.('probing');
}

if (process.argv[1] === import.meta.filename) await probe(process.argv[2] ?? '');
