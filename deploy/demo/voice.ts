/**
 * Made-up audio to send: a third each of a sung vowel (pulses through three formant resonances, which the model takes
 * for speech), noise, and near silence. Seeded, so that every run sends the same.
 */
import { FRAME_SAMPLES, SAMPLE_RATE_HZ } from './audio.ts';

const FORMANTS_HZ = [
  { centre: 700, width: 80 },
  { centre: 1_220, width: 90 },
  { centre: 2_600, width: 120 },
];

/** @param random uniform in [0, 1). */
export function makeClip(kind: 'vowel' | 'noise' | 'silence', frames: number, random: () => number): Int16Array {
  const length = frames * FRAME_SAMPLES;
  if (kind !== 'vowel') {
    const amplitude = kind === 'noise' ? 2_000 : 20;
    return Int16Array.from({ length }, () => (random() - 0.5) * 2 * amplitude);
  }
  const pitchHz = 90 + 120 * random();
  let phase = 0;
  let signal = Float64Array.from({ length }, (_, i) => {
    phase += (pitchHz * (1 + 0.03 * Math.sin((2 * Math.PI * 5 * i) / SAMPLE_RATE_HZ))) / SAMPLE_RATE_HZ;
    if (phase < 1) return 0;
    phase -= 1;
    return 1;
  });
  for (const { centre, width } of FORMANTS_HZ) signal = resonate(signal, centre, width);
  const peak = signal.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return Int16Array.from(signal, (value) => (12_000 * value) / peak);
}

/** A two-pole resonance. */
function resonate(input: Float64Array<ArrayBuffer>, centreHz: number, widthHz: number): Float64Array<ArrayBuffer> {
  const radius = Math.exp((-Math.PI * widthHz) / SAMPLE_RATE_HZ);
  const a1 = 2 * radius * Math.cos((2 * Math.PI * centreHz) / SAMPLE_RATE_HZ);
  const a2 = -radius * radius;
  let last = 0;
  let beforeLast = 0;
  return input.map((value) => {
    const output = value + a1 * last + a2 * beforeLast;
    beforeLast = last;
    last = output;
    return output;
  });
}
