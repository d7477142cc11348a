import { setTimeout as wait } from 'node:timers/promises';
import { requests } from '../../wire/otlp_load.ts';
import { rawClient } from '../../wire/otlp_rig.ts';
import { decodeResponse } from '../../wire/otlp_schema.ts';

export const POINTS_PER_REQUEST = 1_000;
const INSTANCE = Buffer.from('627cc493-f310-47de-96bd-71410b7dec09');
const INSTANCE_DIGITS = 8;
/** Tags of `start_time_unix_nano` and `time_unix_nano`, both fixed64, in every kind of point. */
const START_TAG = 0x11;
const TIME_TAG = 0x19;
const START_NS = 1_800_000_000_000_000_000n;
const EARLIEST_HIGH_BYTE = Number(START_NS >> 56n);
const ROUNDS = 100;

/**
 * Requests of 1,000 points over 1,000 series, encoded once; each time that one is sent, its times become the present and
 * its sender one of many. Counters rise for 100 rounds; then they begin again with a new start time, as after a restart.
 */
export class LoadSource {
  readonly #rounds: readonly Stamped[] = requests(POINTS_PER_REQUEST, ROUNDS).map(stamped);
  readonly #next = new Map<number, { round: number; startNs: bigint }>();

  /** The next request of one instance. The bytes are good until the same round is asked for again: send them at once. */
  next(instance: number): Buffer {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    const at = this.#next.get(instance) ?? { round: 0, startNs: nowNs };
    const { bytes, starts, times, instanceAt } = this.#rounds[at.round]!;
    for (const offset of starts) bytes.writeBigUInt64LE(at.startNs, offset);
    for (const offset of times) bytes.writeBigUInt64LE(nowNs, offset);
    bytes.write(instance.toString(16).padStart(INSTANCE_DIGITS, '0'), instanceAt, 'latin1');
    const isLast = at.round === ROUNDS - 1;
    this.#next.set(instance, isLast ? { round: 0, startNs: nowNs } : { round: at.round + 1, startNs: at.startNs });
    return bytes;
  }
}

interface Stamped {
  readonly bytes: Buffer;
  readonly starts: readonly number[];
  readonly times: readonly number[];
  readonly instanceAt: number;
}

/** Every point has both times, one behind the other: that pair of tags, 9 bytes apart, is looked for. */
function stamped(request: Uint8Array): Stamped {
  const bytes = Buffer.from(request);
  const starts: number[] = [];
  for (let at = 0; at + 18 <= bytes.length; at++) {
    const isPair =
      bytes[at] === START_TAG &&
      bytes[at + 8] === EARLIEST_HIGH_BYTE &&
      bytes[at + 9] === TIME_TAG &&
      bytes[at + 17] === EARLIEST_HIGH_BYTE &&
      bytes.readBigUInt64LE(at + 1) === START_NS;
    if (isPair) starts.push(at + 1);
  }
  const instanceAt = bytes.indexOf(INSTANCE);
  if (starts.length !== POINTS_PER_REQUEST || instanceAt < 0)
    throw new Error('the load has another form than expected');
  return { bytes, starts, times: starts.map((offset) => offset + 9), instanceAt };
}

export interface Sent {
  points: number;
  refused: number;
  rejectedPoints: number;
  /** Sent later than planned by more than a tenth of a second: the load was lower than it says. */
  late: number;
}

/** One request after the other at a steady pace, from `instances` senders in turn. */
export async function sendSteadily(
  address: string,
  source: LoadSource,
  { instances, pointsPerSecond, requests: howMany }: { instances: number; pointsPerSecond: number; requests: number },
): Promise<Sent> {
  using client = rawClient(address);
  const sent: Sent = { points: 0, refused: 0, rejectedPoints: 0, late: 0 };
  const everyMs = (1_000 * POINTS_PER_REQUEST) / pointsPerSecond;
  const startedMs = performance.now();
  for (let i = 0; i < howMany; i++) {
    const aheadMs = startedMs + i * everyMs - performance.now();
    if (aheadMs > 0) await wait(aheadMs);
    else if (aheadMs < -100) sent.late += 1;
    const answer = await client.send(source.next(i % instances));
    if (!answer.ok) sent.refused += 1;
    else {
      sent.points += POINTS_PER_REQUEST;
      sent.rejectedPoints += decodeResponse(answer.response)?.rejectedDataPoints ?? 0;
    }
  }
  return sent;
}
