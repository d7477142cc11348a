/** The TypeScript client, driven in lines of JSON by the conformance script. README.md has the protocol. */
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { connectTuner, type Knob, TransientRejection, type Tuner } from '../../agent/client/typescript/tuner.ts';
import { type KnobValue, TIERS } from '../../agent/core/model.ts';

const spec = z.looseObject({ type: z.enum(['int', 'double', 'duration', 'bool', 'enum']) });
const request = z.object({
  id: z.number(),
  do: z.string(),
  component: z.string().default(''),
  tier: z.enum(TIERS).default('stable'),
  address: z.string().default(''),
  knobs: z.record(z.string(), spec).default({}),
  knob: z.string().default(''),
  spec: spec.optional(),
  value: z.union([z.boolean(), z.number(), z.string()]).default(0),
  is: z.string().default('agree'),
  reason: z.string().default('refused'),
  ms: z.number().default(0),
});
type Request = z.infer<typeof request>;
type AnyKnob = { readonly value: KnobValue; set(value: KnobValue): void; onChange: Knob<KnobValue>['onChange'] };

let tuner: Tuner | undefined;
const knobs = new Map<string, AnyKnob>();
const told = new Map<string, KnobValue[]>();
const moods = new Map<string, { readonly is: string; readonly reason: string }>();
let hanging: (() => void)[] = [];

function declare(id: string, { type, ...options }: z.infer<typeof spec>): void {
  // The script declares knobs as data; a flaw in them is what the client itself says of it.
  const knob: AnyKnob = Reflect.apply(Reflect.get(tuner!, type), tuner, [id, options]);
  knobs.set(id, knob);
  told.set(id, []);
  knob.onChange((value) => {
    told.get(id)?.push(value);
    const mood = moods.get(id);
    if (mood?.is === 'refuse') throw new Error(mood.reason);
    if (mood?.is === 'refuse_for_now') throw new TransientRejection(mood.reason);
    if (mood?.is === 'hang') return new Promise<void>((resolve) => hanging.push(resolve));
    return undefined;
  });
}

async function perform(wanted: Request): Promise<Record<string, unknown>> {
  switch (wanted.do) {
    case 'connect': {
      const { component, tier, address } = wanted;
      tuner = await connectTuner({ component, tier, address });
      for (const [id, each] of Object.entries(wanted.knobs)) declare(id, each);
      return {};
    }
    case 'declare':
      if (wanted.spec) declare(wanted.knob, wanted.spec);
      return {};
    case 'read':
      return { values: Object.fromEntries([...knobs].map(([id, knob]) => [id, knob.value])) };
    case 'time_reads': {
      const [knob] = knobs.values();
      let longestUs = 0;
      // Of batches, as a single read is shorter than a clock can tell; their least, as the machine does other things too.
      let leastUs = Number.POSITIVE_INFINITY;
      for (let batch = 0; batch < 50; batch++) {
        const start = performance.now();
        for (let i = 0; i < 1_000; i++) void knob?.value;
        const eachUs = performance.now() - start;
        longestUs = Math.max(longestUs, eachUs);
        leastUs = Math.min(leastUs, eachUs);
      }
      return { leastUs, longestUs };
    }
    case 'set':
      try {
        knobs.get(wanted.knob)?.set(wanted.value);
        return {};
      } catch (error) {
        return { refused: error instanceof Error ? error.message : String(error) };
      }
    case 'mood':
      moods.set(wanted.knob, { is: wanted.is, reason: wanted.reason });
      return {};
    case 'release': {
      const waiting = hanging;
      hanging = [];
      for (const resolve of waiting) resolve();
      return {};
    }
    case 'told':
      return { values: told.get(wanted.knob) };
    case 'status':
      return { connected: tuner?.status.state === 'connected' };
    case 'jump_wall_clock': {
      const { now } = Date;
      const offsetMs: number = wanted.ms;
      Date.now = () => now() + offsetMs;
      return {};
    }
    case 'close':
      tuner?.close();
      return {};
    default:
      return { failed: `cannot do ${wanted.do}` };
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const wanted = request.parse(JSON.parse(line));
  perform(wanted).then(
    (answer) => process.stdout.write(`${JSON.stringify({ id: wanted.id, ...answer })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ id: wanted.id, failed: String(error) })}\n`),
  );
});
