import type { PerformanceProfile } from '../core/profile/performance_profile.ts';
import type { Decision } from '../gen/performance_optimizer/control/v1/decision_pb.ts';
import type { ComponentState, GetSnapshotResponse } from '../gen/performance_optimizer/control/v1/tuning_service_pb.ts';
import { decodeTimeMs } from '../rpc/knob_codec.ts';
import { modeWords, tierWords } from '../rpc/words.ts';
import { shownValue } from './snapshot.ts';
import { figure, instant, type Paint, printable, table } from './text.ts';

/** Everything that one frame shows. */
export interface TopView {
  readonly snapshot: GetSnapshotResponse;
  /** Absent where nothing was measured of a component. */
  readonly profiles: ReadonlyMap<string, PerformanceProfile>;
  /** Newest first. */
  readonly decisions: readonly Decision[];
}

/** Room for a frame; `undefined`: as much as it takes. */
export interface Room {
  readonly rows: number;
  readonly columns: number;
}

/** A frame as text: components and what they do, their knobs, what was decided last. What does not fit is cut. */
export function frameOf({ snapshot, profiles, decisions }: TopView, paint: Paint, room?: Room): string {
  const { time, epoch, frozen, components } = snapshot;
  const when = time === undefined ? '' : ` · ${instant(decodeTimeMs(time))}`;
  const blocks: string[][] = [
    [`perfopt top · epoch ${epoch}${when}${frozen ? ' · FROZEN' : ''}${room ? ' · q to quit' : ''}`],
    components.length === 0
      ? ['no component is known yet: `perfopt doctor` says why']
      : rowsOf(
          ['component', 'tier', 'state', 'req/s', 'mean ms', 'p95 ms', 'errors', 'CPU %', 'trial'],
          components,
          (state) => [componentRow(state, profiles.get(state.component))],
        ),
    rowsOf(['component', 'knob', 'in force', 'wanted', 'mode', '', 'last error'], components, knobRows),
    rowsOf(['time', 'component', 'decision', 'why'], decisions, ({ time, component, kind, reason }) => [
      [time === undefined ? '' : instant(decodeTimeMs(time)), printable(component), printable(kind), printable(reason)],
    ]),
  ];
  const lines = blocks.filter((block) => block.length > 0).flatMap((block, i) => (i === 0 ? block : ['', ...block]));
  const headings = new Set([0, ...lines.flatMap((line, i) => (line === '' ? [i + 1] : []))]);
  const shown = room === undefined ? lines : lines.slice(0, room.rows).map((line) => line.slice(0, room.columns));
  // Cut first: a colour is no character that takes room.
  return shown.map((line, i) => (headings.has(i) ? paint.bold(line) : line)).join('\n');
}

const PLAIN: Paint = { bold: String, dim: String, good: String, bad: String };

function rowsOf<T>(
  heading: readonly string[],
  things: readonly T[],
  rows: (thing: T) => readonly (readonly string[])[],
): string[] {
  const found = things.flatMap(rows);
  return found.length === 0 ? [] : table([heading, ...found], PLAIN).split('\n');
}

function componentRow(state: ComponentState, profile: PerformanceProfile | undefined): readonly string[] {
  const { responseTime, throughput, errorRate } = profile?.metrics ?? {};
  const shown = (value: number | undefined): string =>
    value === undefined ? '' : figure(Number(value.toPrecision(3)));
  const trial = state.openTrial;
  const changes = trial?.changes.map(
    ({ knob, from, to }) => `${printable(knob)} ${shownValue(from)} → ${shownValue(to)}`,
  );
  return [
    printable(state.component),
    tierWords.decode(state.tier) ?? '',
    state.frozen ? 'frozen' : state.connected ? 'connected' : 'away',
    shown(throughput?.current),
    shown(responseTime?.current),
    shown(responseTime?.p95),
    errorRate === undefined ? '' : `${(100 * errorRate).toFixed(1)} %`,
    shown(profile?.resources.cpu?.usage),
    trial === undefined ? '' : `${printable(trial.strategy)}, ${trial.blocks} blocks: ${changes?.join(', ')}`,
  ];
}

function knobRows({ component, knobs }: ComponentState): readonly (readonly string[])[] {
  return knobs.map(({ spec, effective, desired, mode, pinned, lastError }) => [
    printable(component),
    printable(spec?.id ?? ''),
    shownValue(effective),
    shownValue(desired),
    modeWords.decode(mode) ?? '',
    pinned ? 'pinned' : '',
    printable(lastError),
  ]);
}
