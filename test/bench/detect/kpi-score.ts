/**
 * The AIOps 2018 challenge's delay-adjusted F1.
 *
 * A labelled segment counts as found, with all its points, when an alarm falls on one of its first `delay` + 1 points;
 * otherwise all its points are missed, whatever came later. Every alarmed point outside segments is one false
 * positive. Counts are summed over all series before F1 is taken, so a long segment weighs as many points as it has.
 *
 * Source: H. Ren et al., Time-Series Anomaly Detection Service at Microsoft, KDD 2019, section 5.1; challenge rules.
 */
export interface KpiCounts {
  readonly truePoints: number;
  readonly falsePoints: number;
  readonly missedPoints: number;
  readonly segments: number;
  readonly segmentsFound: number;
}

export function kpiCounts(alarms: ArrayLike<number>, labels: ArrayLike<number>, delay: number): KpiCounts {
  let truePoints = 0;
  let falsePoints = 0;
  let missedPoints = 0;
  let segments = 0;
  let segmentsFound = 0;
  const n = labels.length;
  for (let i = 0; i < n; i++) {
    if (labels[i] === 0) {
      if (alarms[i]! > 0) falsePoints++;
      continue;
    }
    const first = i;
    while (i + 1 < n && labels[i + 1] !== 0) i++;
    let found = false;
    for (let j = first; j <= Math.min(i, first + delay); j++) found ||= alarms[j]! > 0;
    segments++;
    if (found) {
      segmentsFound++;
      truePoints += i - first + 1;
    } else missedPoints += i - first + 1;
  }
  return { truePoints, falsePoints, missedPoints, segments, segmentsFound };
}

export function sumCounts(parts: readonly KpiCounts[]): KpiCounts {
  const total = { truePoints: 0, falsePoints: 0, missedPoints: 0, segments: 0, segmentsFound: 0 };
  for (const part of parts) {
    total.truePoints += part.truePoints;
    total.falsePoints += part.falsePoints;
    total.missedPoints += part.missedPoints;
    total.segments += part.segments;
    total.segmentsFound += part.segmentsFound;
  }
  return total;
}

export function f1({ truePoints, falsePoints, missedPoints }: KpiCounts): number {
  return truePoints === 0 ? 0 : (2 * truePoints) / (2 * truePoints + falsePoints + missedPoints);
}
