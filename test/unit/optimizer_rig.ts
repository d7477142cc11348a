import { afterEach } from 'vitest';
import {
  type AIComponent,
  type AIRequest,
  ComponentRegistry,
  ComponentTier,
  HealthMonitor,
  type KnobRange,
  type OptimizerEvents,
  PerformanceOptimizer,
  type PerformanceOptimizerConfig,
  ResourceManager,
} from '../../agent/library.ts';

/** Windows of a tenth of a second, so that a proof takes seconds. */
export const QUICK: PerformanceOptimizerConfig = {
  monitoring: { interval: 100 },
  tuning: {
    tick: 10,
    window: { min: 100, max: 2_000, minRequests: 10 },
    cooldown: { windows: 1, maxWindows: 4 },
    tiers: { research: { maxStepRatio: 0.5, harmRatio: 0.5 } },
  },
};

export const ALLOCATION = { cpu: 50, memory: 512, gpu: 20 };

/** Answers in 1 ms and 16 ms ÷ batch: larger batches are better. */
export class Embedder implements AIComponent {
  readonly name: string;
  readonly tier: ComponentTier;
  readonly knobs?: Readonly<Record<string, KnobRange>>;
  timeout = 1_000;
  memoryLimit = 512;
  priority = 50;
  config: Record<string, unknown>;

  constructor(
    config: Record<string, unknown> = { batch: 1 },
    knobs?: Readonly<Record<string, KnobRange>>,
    { name = 'embedder', tier = ComponentTier.RESEARCH as ComponentTier } = {},
  ) {
    this.name = name;
    this.tier = tier;
    this.config = config;
    if (knobs !== undefined) this.knobs = knobs;
  }

  async process(request: AIRequest): Promise<string> {
    const batch = Number(this.config.batch ?? 1);
    await new Promise<void>((served) => {
      setTimeout(served, 1 + 16 / batch);
    });
    if (request.type === 'bad') throw new Error('it cannot be embedded');
    return `vector of ${request.id}`;
  }
}

const running: PerformanceOptimizer[] = [];
afterEach(async () => {
  for (const optimizer of running.splice(0)) await optimizer.shutdown();
});

/** An optimizer at work, with its parts; shut down with the test. */
export async function embedded(components: readonly AIComponent[], config: PerformanceOptimizerConfig = QUICK) {
  const registry = new ComponentRegistry();
  const resourceManager = new ResourceManager();
  const healthMonitor = new HealthMonitor();
  const optimizer = new PerformanceOptimizer(config, registry, resourceManager, healthMonitor);
  running.push(optimizer);
  for (const component of components) registry.register(component);
  await optimizer.initialize();
  return { optimizer, registry, resourceManager, healthMonitor };
}

/** Requests at the component, a few at a time, until `until` resolves; what they fail with does not matter. */
export async function underLoad<T>(
  optimizer: PerformanceOptimizer,
  component: AIComponent,
  until: Promise<T>,
  workers = 8,
): Promise<T> {
  let isOver = false;
  const over = until.finally(() => {
    isOver = true;
  });
  const work = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      await optimizer.executeWithMonitoring(component, { id: `r${n}` }, ALLOCATION).catch(unlessOver);
    }
  };
  await Promise.all([over, ...Array.from({ length: workers }, work)]);
  return until;
}

/** A number of requests at once. */
export async function requests(optimizer: PerformanceOptimizer, component: AIComponent, count: number) {
  await Promise.all(
    Array.from({ length: count }, (_, n) =>
      optimizer.executeWithMonitoring(component, { id: `r${n}` }, ALLOCATION).catch(unlessOver),
    ),
  );
}

/** A request may fail; but where nothing runs any more, whoever loops must end. */
function unlessOver(error: unknown): void {
  if (error instanceof Error && error.message === 'PerformanceOptimizer has shut down') throw error;
}

export function next<T extends keyof OptimizerEvents>(
  optimizer: PerformanceOptimizer,
  type: T,
  wants: (event: OptimizerEvents[T]) => boolean = () => true,
): Promise<OptimizerEvents[T]> {
  return new Promise((resolve) => {
    const listener = (event: OptimizerEvents[T]): void => {
      if (!wants(event)) return;
      optimizer.off(type, listener);
      resolve(event);
    };
    optimizer.on(type, listener);
  });
}
