/** A process of its own with as many sessions as it is told, each of one knob whose listener agrees at once. */
import { connectTuner } from '../../../agent/client/typescript/tuner.ts';

const [address = '', count = '1'] = process.argv.slice(2);
for (let i = 0; i < Number(count); i++) {
  const tuner = await connectTuner({ component: `session-${i}`, tier: 'research', address });
  const knob = tuner.int('batch_size', { default: 1, min: 1, max: 1_000_000 });
  knob.onChange(() => {});
}
process.on('disconnect', () => process.exit());
