import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseSmiLine, SMI_QUERIES } from '../../agent/adapters/gpu/smi_parse.ts';

const FIELDS = SMI_QUERIES[0]!;
const whole = fc.nat({ max: 1_000_000 });
const unknown = fc.constantFrom('[N/A]', 'N/A', '[Not Supported]', '[Unknown Error]', '[GPU requires reset]', '');

it('reads back what was said, and leaves out what was not', () => {
  const maybe = fc.option(whole, { nil: undefined });
  const row = fc.tuple(maybe, maybe, maybe, maybe, maybe, maybe, unknown);
  fc.assert(
    fc.property(row, ([busy, controller, used, total, celsius, clock, none]) => {
      const said = [busy, controller, used, total, 350.25, celsius, clock, '0x0000000000000048', none];
      const line = ['GPU-1-2', 'NVIDIA X', ...said.map((value) => value ?? none)].join(', ');
      expect(parseSmiLine(line, FIELDS)).toEqual({
        id: 'GPU-1-2',
        name: 'NVIDIA X',
        vendor: 'NVIDIA',
        powerWatts: 350.25,
        throttledBy: ['hw_slowdown', 'hw_thermal_slowdown'],
        ...(busy !== undefined && { utilizationRatio: busy * 0.01 }),
        ...(controller !== undefined && { memoryControllerRatio: controller * 0.01 }),
        ...(used !== undefined && { memoryUsedBytes: used * 2 ** 20 }),
        ...(total !== undefined && { memoryTotalBytes: total * 2 ** 20 }),
        ...(celsius !== undefined && { temperatureCelsius: celsius }),
        ...(clock !== undefined && { clockHertz: clock * 1e6 }),
      });
    }),
  );
});

it('takes nothing from what is no line of a GPU', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 20 }), (values) => {
      const device = parseSmiLine(values.join(','), FIELDS);
      const isLine = values.join(',').split(',').length === FIELDS.length;
      if (device !== undefined) expect([isLine, /^(?:GPU|MIG)-/.test(device.id)]).toEqual([true, true]);
    }),
  );
  expect(parseSmiLine('uuid, name', FIELDS)).toBeUndefined();
  expect(parseSmiLine('GPU-1, X, 1, 2, 3, 4, 5, 6', FIELDS)).toBeUndefined();
});
