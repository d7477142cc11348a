import type { KnobSpec } from '../../model.ts';
import type { Strategy, StrategyContext, TunableKnob } from '../strategy.ts';
import { upwards } from './value.ts';

/**
 * The design document's Memory Optimization, judged on a histogram of past use before anything is touched.
 *
 * Intuition. A limit far above what is used keeps memory from others. The document proposes `1.2 × usage`, at least 256 MiB, where
 * less than 80 % of what is reserved is used. But the use of this moment is not the most that there will be: a limit below a peak
 * kills the process. So the proposal is raised to the peak of the last days with a margin; what is left is put to trial like any
 * change, and if that is no longer worth it, the reason is recorded instead.
 *
 *   document = max(1.2 · usage, 256 MiB)          proposal = max(document, 1.15 · peak)
 *
 * `peak` is the highest use that a decaying histogram still holds (half-life 24 h, `usage_histogram.ts`), or the upper end of
 * the forecast for the next day where that is higher. Memory that leaks has no use to size a limit by: nothing is proposed
 * until the leak is gone. Efficiency is the profile's
 * (used / reserved), or used / limit where nothing is reserved. Units: MiB inside, the knob's own unit outside (`By`, `KiBy`, `MiBy`,
 * `GiBy`, and `kBy`, `MBy`, `GBy`).
 * Fails when less than an hour of use has been seen: no plan. A peak rarer than the histogram's memory is not foreseen.
 * Sources: the design document; peak and margin as in Autopilot (Rzadca et al., EuroSys 2020) and the Kubernetes VPA.
 */
const MEMORY_FACTOR = 1.2;
const MEMORY_FLOOR_MIB = 256;
const APPLIES_BELOW = 0.8;
const PEAK_MARGIN = 1.15;
const DAY_MS = 86_400_000;
const MIN_OBSERVED_MS = 3_600_000;
/** A smaller change is not worth a trial. */
const WORTHWHILE_BELOW = 0.9;

export const memoryStrategy: Strategy = {
  name: 'Memory Optimization',
  description: 'Optimizes memory allocation based on usage patterns',
  applicableTiers: ['advanced', 'experimental', 'research'],
  roles: ['memory'],
  priority: 7,
  canApply: (context) => memoryKnobs(context).some((knob) => isWasteful(knob, context)),
  plan(context, modes) {
    const usageMib = context.profile?.resources.memory?.usage;
    const { peakMib: seenMib } = context.memory;
    if (usageMib === undefined || seenMib === undefined || context.memory.observedMs < MIN_OBSERVED_MS)
      return undefined;
    const expectedMib = context.insights
      .forecast('memoryMiB', DAY_MS)
      ?.path.reduce((most, { high }) => Math.max(most, high), 0);
    const peakMib = Math.max(seenMib, expectedMib ?? 0);
    const leak = context.insights
      .patterns()
      .find(({ type, metric }) => type === 'memory_leak' && metric === 'memoryMiB');
    for (const knob of memoryKnobs(context)) {
      const { spec, mibPerUnit, limitMib } = knob;
      if (!modes.includes(knob.mode) || !isWasteful(knob, context)) continue;
      const documentMib = Math.max(usageMib * MEMORY_FACTOR, MEMORY_FLOOR_MIB);
      const value = upwards(knob, Math.max(documentMib, peakMib * PEAK_MARGIN) / mibPerUnit);
      const safeMib = value * mibPerUnit;
      const exceeded = context.memory.fractionAbove(documentMib);
      const signals = {
        memoryMibUsage: usageMib,
        memoryMibPeak: peakMib,
        memoryMibLimit: limitMib,
        documentLimitMib: documentMib,
        exceededRatioAtDocumentLimit: exceeded,
        observedHours: context.memory.observedMs / 3_600_000,
        ...(expectedMib !== undefined && { memoryMibForecast: expectedMib }),
      };
      if (leak !== undefined) {
        return {
          kind: 'shadow_rejected',
          setting: { [spec.id]: upwards(knob, documentMib / mibPerUnit) },
          reason: `memory leaks, by ${(leak.evidence.growthPerHour ?? 0).toPrecision(3)} MiB an hour: any limit would be reached, and a lower one sooner`,
          signals: { ...signals, leakMibPerHour: leak.evidence.growthPerHour ?? 0, confidence: leak.confidence },
        };
      }
      if (safeMib >= limitMib * WORTHWHILE_BELOW) {
        return {
          kind: 'shadow_rejected',
          setting: { [spec.id]: upwards(knob, documentMib / mibPerUnit) },
          reason: `a ${spec.id} of ${documentMib.toFixed(0)} MiB (1.2 × the usage) would have been exceeded ${(exceeded * 100).toFixed(2)} % of the time (peak ${peakMib.toFixed(0)} MiB); one that is safe (${safeMib.toFixed(0)} MiB) is not worth changing from ${limitMib.toFixed(0)} MiB`,
          signals,
        };
      }
      if (context.rejection(spec.id, value) !== undefined) continue;
      return {
        kind: 'candidate',
        setting: { [spec.id]: value },
        reason: `${usageMib.toFixed(0)} MiB of ${limitMib.toFixed(0)} MiB are used, ${peakMib.toFixed(0)} MiB at the peak; ${safeMib.toFixed(0)} MiB leave room enough`,
        signals,
      };
    }
    return undefined;
  },
};

type MemoryKnob = TunableKnob & { readonly mibPerUnit: number; readonly limitMib: number };

function memoryKnobs({ knobs, incumbent }: StrategyContext): readonly MemoryKnob[] {
  return knobs.flatMap((knob) => {
    const mibPerUnit = mebibytesPerUnit(knob.spec);
    const now = incumbent[knob.spec.id];
    if (knob.spec.role !== 'memory' || knob.axis === undefined || mibPerUnit === undefined) return [];
    return typeof now === 'number' ? [{ ...knob, mibPerUnit, limitMib: now * mibPerUnit }] : [];
  });
}

function isWasteful({ limitMib }: MemoryKnob, { profile }: StrategyContext): boolean {
  const memory = profile?.resources.memory;
  if (memory === undefined) return false;
  return (memory.efficiency ?? memory.average / limitMib) < APPLIES_BELOW;
}

const BYTES: Readonly<Record<string, number>> = {
  By: 1,
  kBy: 1e3,
  MBy: 1e6,
  GBy: 1e9,
  KiBy: 2 ** 10,
  MiBy: 2 ** 20,
  GiBy: 2 ** 30,
};

function mebibytesPerUnit({ unit }: KnobSpec): number | undefined {
  const bytes = BYTES[unit];
  return bytes === undefined ? undefined : bytes / 2 ** 20;
}
