import type { Strategy } from '../strategy.ts';
import { batchStrategy } from './batch.ts';
import { choiceStrategy } from './choice.ts';
import { concurrencyStrategy } from './concurrency.ts';
import { configurationStrategy } from './configuration.ts';
import { jumpStrategy } from './jump.ts';
import { memoryStrategy } from './memory.ts';
import { priorityStrategy } from './priority.ts';
import { timeoutStrategy } from './timeout.ts';

/** What the engine brings along. */
export const STRATEGIES: readonly Strategy[] = [
  timeoutStrategy,
  memoryStrategy,
  configurationStrategy,
  choiceStrategy,
  jumpStrategy,
  concurrencyStrategy,
  batchStrategy,
  priorityStrategy,
];
