import type { TapFilter, TappedPoint, TapReader } from './adapters/control/ports.ts';
import { globPattern } from './core/glob.ts';
import type { SampleBatch, SampleSink, Series } from './core/model.ts';
import { attributeText } from './core/outcome.ts';
import { SignalMapper, type SignalMapping } from './core/signals.ts';

/**
 * Shows what comes in to those who look. Wrapped around the sink of each source; while nobody looks it costs one comparison
 * a batch. A reader gets the points that it wants, of those taken in, as far as it has room, and hears how many it missed.
 */
export class Tap {
  readonly #mappings: readonly SignalMapping[];
  readonly #readers = new Set<{ readonly wants: (series: Series) => boolean; readonly reader: TapReader }>();
  /** Only while somebody looks. */
  #mapper: SignalMapper | undefined;

  constructor(mappings: readonly SignalMapping[]) {
    this.#mappings = mappings;
  }

  /** `sink`, with what it accepts shown as coming from `source`. */
  on(source: string, sink: SampleSink): SampleSink {
    return {
      accept: (batch) => {
        const acceptance = sink.accept(batch);
        if (this.#readers.size > 0 && acceptance.state === 'accepted') this.#show(source, batch);
        return acceptance;
      },
      room: () => sink.room?.(),
    };
  }

  /** Begins to show; returns how to stop. */
  open(filter: TapFilter, reader: TapReader): () => void {
    const entry = { wants: wanted(filter), reader };
    this.#readers.add(entry);
    return () => {
      this.#readers.delete(entry);
      if (this.#readers.size === 0) this.#mapper = undefined;
    };
  }

  #show(source: string, batch: SampleBatch): void {
    for (const { wants, reader } of [...this.#readers]) {
      const room = reader.room();
      const points: TappedPoint[] = [];
      let missed = 0;
      for (let row = 0; row < batch.size; row++) {
        const series = batch.series[row];
        if (series === undefined || !wants(series)) continue;
        if (points.length < room) points.push(this.#tapped(source, batch, row, series));
        else missed += 1;
      }
      if (points.length + missed > 0) reader.take(points, missed);
    }
  }

  #tapped(source: string, batch: SampleBatch, row: number, series: Series): TappedPoint {
    this.#mapper ??= new SignalMapper(this.#mappings);
    const signal = this.#mapper.roleOf(series)?.signal ?? '';
    return { source, batch, row, series, component: componentOf(series), signal };
  }
}

function componentOf(series: Series): string {
  return attributeText(series.resource.get('service.name'));
}

/** The verdict on a series is kept with it, so that it is asked for once. */
function wanted({ metric, component, attributes }: TapFilter): (series: Series) => boolean {
  const verdicts = new WeakMap<Series, boolean>();
  const name = metric === undefined ? undefined : globPattern(metric);
  const owner = component === undefined ? undefined : globPattern(component);
  const values = Object.entries(attributes).map(([key, glob]) => ({ key, pattern: globPattern(glob) }));
  const judge = (series: Series): boolean =>
    (name === undefined || name.test(series.name)) &&
    (owner === undefined || owner.test(componentOf(series))) &&
    values.every(({ key, pattern }) => {
      const value = series.attributes.get(key) ?? series.resource.get(key);
      return value !== undefined && pattern.test(attributeText(value));
    });
  return (series) => {
    let verdict = verdicts.get(series);
    if (verdict === undefined) {
      verdict = judge(series);
      verdicts.set(series, verdict);
    }
    return verdict;
  };
}
