/**
 * Intuition: "how rare is a residual this large?" needs only the upper tail of its past sizes, and tails are straight
 * lines on log-log paper. Counters on a grid of powers of 2^(1/4) hold that tail for any unit, from nanoseconds to
 * gigabytes, with no scale to estimate. The grid is absolute: bin b always means 2^(b/4) ≤ |r| < 2^((b+1)/4). A grid
 * re-centred on a drifting scale moves past counts to sizes at which they never happened (7 to 10 points on NAB).
 *
 * Formula: 16 counters for the highest bin remembered and the 15 below; all that is smaller counts in the lowest. Every
 * point weighs 1 and keeps .9998 of its weight with each later point, so memory is 5000 points. With N the weight of all
 * points and S that of those in x's bin or higher:
 *   surprise = log₁₀((N + 1)/(S + ½)) − .3·log₁₀((N + 1)/1000)   decades,
 * so a long memory claims a little less than its counts allow and a short one (N < 1000) a little more. Beyond the
 * highest bin a straight tail would add e = 2·slope·octaves decades, the slope (decades an octave) taken over the last
 * k = 10 points and clamped to .3 to 3. A slope from ten points is itself uncertain; averaged over that uncertainty the
 * tail is a Lomax one, which adds k·log₁₀(1 + e·ln 10/k): 2.3 decades for e = 3, and 9 for e = 30.
 *
 * Fails: after one enormous value, or wild first days, all usual sizes share the lowest counter and look equally usual,
 * until the owner sees that nothing recent was told apart and starts the sketch afresh; on dependent residuals N
 * overstates what was seen, so claims are relative until an alert stage has counted alerts.
 *
 * Source: log-scale histograms as in DDSketch (C. Masson et al., VLDB 2019); tail slope after B. M. Hill, Annals of
 * Statistics 1975; its predictive form as in any exponential rate with a gamma posterior. The constants are
 * DETECTION.md's. Measured on NAB's 29 series and the KPIs: memory of 1000 points −3 NAB points; 8 counters −.16 of KPI
 * events found; two counters an octave −3 to −4 NAB points, +.02 of KPI events; no growth beyond the record −6 NAB points.
 *
 * Example: 1000 points, 10 of them in x's bin or higher: log₁₀(1001/10.5) − 0 = 1.98, "one in a hundred".
 */
export const SKETCH_BINS = 16;
/** Of its weight a point keeps this share with each later point. */
export const SKETCH_KEEP = 0.9998;
/** Numbers that one sketch needs in its owner's buffer: the counters, then the highest bin. */
export const SKETCH_SLOTS = SKETCH_BINS + 1;

const BINS_PER_OCTAVE = 4;
const MEMORY_CREDIT = 0.3;
const CREDIT_POINTS = 1000;
const BEYOND_FACTOR = 2;
const SLOPE_MIN = 0.3;
const SLOPE_MAX = 3;
/** The slope is that of the tail's last this many points. */
const SLOPE_POINTS = 10;
/** A highest bin that weighs less than this many points is given up: after some 23,000 points without another. */
const FORGOTTEN_POINTS = 0.01;
/** Sizes are held to 2^±600: beyond lies no measurement, and ratios overflow. */
const OCTAVES_MAX = 600;
const SIZE_MIN = 2 ** -OCTAVES_MAX;
/** Below any bin. */
const NO_BIN = -10_000;

/**
 * Counters lie in `sketch[at …]`. Rather than fade all counters with each point, the weight of a new point (`unit`)
 * grows, and the owner rescales everything once in a while.
 */
export function emptySketch(sketch: Float32Array, at: number): void {
  sketch.fill(0, at, at + SKETCH_BINS);
  sketch[at + SKETCH_BINS] = NO_BIN;
}

/** Surprise in decades of a residual of `size` ≥ 0, when all points weigh `total` and a new one weighs `unit`. */
export function sketchSurprise(sketch: Float32Array, at: number, size: number, total: number, unit: number): number {
  if (size < SIZE_MIN) return 0;
  const points = total / unit + 1;
  const top = sketch[at + SKETCH_BINS]!;
  const position = binPosition(size);
  const bin = Math.floor(position);
  if (bin > top) {
    const record = decades(points, 0);
    if (top === NO_BIN) return record;
    const octavesBeyond = (position - top - 1) / BINS_PER_OCTAVE;
    const straight = BEYOND_FACTOR * tailSlope(sketch, at, unit) * octavesBeyond;
    return record + SLOPE_POINTS * Math.log10(1 + (straight * Math.LN10) / SLOPE_POINTS);
  }
  let surviving = 0;
  const lowest = Math.max(0, bin - top + SKETCH_BINS - 1);
  for (let i = SKETCH_BINS - 1; i >= lowest; i--) surviving += sketch[at + i]!;
  return decades(points, surviving / unit);
}

/** The smallest size whose surprise is at least `surprise`: the edge of what is expected. */
export function sketchSize(sketch: Float32Array, at: number, surprise: number, total: number, unit: number): number {
  const points = total / unit + 1;
  const top = sketch[at + SKETCH_BINS]!;
  if (top === NO_BIN) return 0;
  const record = decades(points, 0);
  if (surprise > record) {
    const straight = (SLOPE_POINTS / Math.LN10) * (10 ** ((surprise - record) / SLOPE_POINTS) - 1);
    const octavesBeyond = straight / (BEYOND_FACTOR * tailSlope(sketch, at, unit));
    return 2 ** ((top + 1) / BINS_PER_OCTAVE + octavesBeyond);
  }
  let surviving = 0;
  for (let i = SKETCH_BINS - 1; i >= 0; i--) {
    surviving += sketch[at + i]!;
    if (decades(points, surviving / unit) < surprise) return 2 ** ((top + 1 - (SKETCH_BINS - 1 - i)) / BINS_PER_OCTAVE);
  }
  // Even the lowest counter's sizes are that surprising, and it holds everything down to zero.
  return 0;
}

/** False when the size went to the lowest counter, where sizes are not told apart, or below all. */
export function addToSketch(sketch: Float32Array, at: number, size: number, unit: number): boolean {
  if (size < SIZE_MIN) return false;
  const bin = Math.floor(binPosition(size));
  const top = sketch[at + SKETCH_BINS]!;
  if (bin > top) raise(sketch, at, top === NO_BIN ? SKETCH_BINS : bin - top, bin);
  else if (sketch[at + SKETCH_BINS - 1]! < FORGOTTEN_POINTS * unit) lower(sketch, at);
  const index = Math.max(0, bin - sketch[at + SKETCH_BINS]! + SKETCH_BINS - 1);
  sketch[at + index]! += unit;
  return index > 0;
}

export function isSketchEmpty(sketch: Float32Array, at: number): boolean {
  return sketch[at + SKETCH_BINS]! === NO_BIN;
}

/** Converts all weights to a new unit. */
export function rescaleSketch(sketch: Float32Array, at: number, factor: number): void {
  for (let i = at; i < at + SKETCH_BINS; i++) sketch[i]! *= factor;
}

function binPosition(size: number): number {
  return BINS_PER_OCTAVE * Math.min(OCTAVES_MAX, Math.log2(size));
}

function decades(points: number, surviving: number): number {
  return Math.log10(points / (surviving + 0.5)) - MEMORY_CREDIT * Math.log10(points / CREDIT_POINTS);
}

/** Decades of survival lost per octave over the tail's last `SLOPE_POINTS` points. */
function tailSlope(sketch: Float32Array, at: number, unit: number): number {
  let surviving = 0;
  let i = SKETCH_BINS - 1;
  for (; i >= 0; i--) {
    surviving += sketch[at + i]! / unit;
    if (surviving >= SLOPE_POINTS || i === 0) break;
  }
  const octaves = (SKETCH_BINS - i) / BINS_PER_OCTAVE;
  const slope = Math.log10((surviving + 0.5) / 0.5) / octaves;
  return Math.min(SLOPE_MAX, Math.max(SLOPE_MIN, slope));
}

/** Gives up the highest bin. What was counted in the lowest stays where it is, so it moves up: dull, never shrill. */
function lower(sketch: Float32Array, at: number): void {
  for (let i = SKETCH_BINS - 1; i > 0; i--) sketch[at + i] = sketch[at + i - 1]!;
  sketch[at] = 0;
  sketch[at + SKETCH_BINS]! -= 1;
}

/** Makes `bin` the highest: counters move down by `by`, and what falls off the end joins the lowest. */
function raise(sketch: Float32Array, at: number, by: number, bin: number): void {
  let lowest = 0;
  for (let i = 0; i < SKETCH_BINS && i <= by; i++) lowest += sketch[at + i]!;
  for (let i = 0; i < SKETCH_BINS; i++) sketch[at + i] = i + by < SKETCH_BINS ? sketch[at + i + by]! : 0;
  sketch[at] = lowest;
  sketch[at + SKETCH_BINS] = bin;
}
