/**
 * Scores of the Turing change point data set (van den Burg & Williams 2020), with several annotators per series.
 * A change point is the first index of the new segment; index 0 always counts as one, in truth and answer alike.
 */
export type Annotations = Readonly<Record<string, readonly number[]>>;

/**
 * Harmonic mean of precision, against every point that any annotator marked, and recall, averaged over annotators. A
 * mark is hit by an answer within `margin` of it; each answer hits one mark.
 */
export function f1(annotations: Annotations, answer: readonly number[], margin = 5): number {
  const given = withZero(answer);
  const annotators = Object.values(annotations).map(withZero);
  const union = [...new Set(annotators.flat())].sort((a, b) => a - b);
  const precision = hits(union, given, margin) / given.length;
  const recall = annotators.reduce((sum, t) => sum + hits(t, given, margin) / t.length, 0) / annotators.length;
  return (2 * precision * recall) / (precision + recall);
}

/** Mean over annotators of how well the answer's segments cover theirs: best Jaccard index, weighted by length. */
export function covering(annotations: Annotations, answer: readonly number[], length: number): number {
  const given = segments(answer, length);
  const each = Object.values(annotations).map((truth) =>
    segments(truth, length).reduce((sum, [s, e]) => {
      const best = Math.max(...given.map(([a, b]) => overlap(s, e, a, b) / (e - s + b - a - overlap(s, e, a, b))));
      return sum + ((e - s) / length) * best;
    }, 0),
  );
  return each.reduce((a, b) => a + b, 0) / each.length;
}

function hits(truth: readonly number[], given: readonly number[], margin: number): number {
  const left = new Set(given);
  let count = 0;
  for (const t of truth) {
    const near = [...left].filter((x) => Math.abs(x - t) <= margin).sort((a, b) => Math.abs(a - t) - Math.abs(b - t));
    if (near.length === 0) continue;
    left.delete(near[0]!);
    count++;
  }
  return count;
}

function segments(cuts: readonly number[], length: number): (readonly [number, number])[] {
  const starts = withZero(cuts).filter((c) => c < length);
  return starts.map((s, i) => [s, starts[i + 1] ?? length] as const);
}

function overlap(s: number, e: number, a: number, b: number): number {
  return Math.max(0, Math.min(e, b) - Math.max(s, a));
}

function withZero(points: readonly number[]): number[] {
  return [...new Set([0, ...points])].sort((a, b) => a - b);
}
