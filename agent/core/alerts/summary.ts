import { figure } from '../figures.ts';
import type { Health } from '../health.ts';
import type { Decision } from '../model.ts';
import type { PerformanceProfile } from '../profile/performance_profile.ts';

export interface SummaryFacts {
  readonly atMs: number;
  /** What the decisions span. */
  readonly fromMs: number;
  readonly components: readonly {
    readonly component: string;
    readonly health: Health;
    readonly profile?: PerformanceProfile;
  }[];
  readonly decisions: readonly Decision[];
  readonly recommendations: number;
  readonly alerts: number;
}

/** What was, for somebody who looks once a day. Plain data; what was not measured is absent. */
export interface Summary {
  readonly atMs: number;
  readonly fromMs: number;
  readonly components: readonly ComponentSummary[];
  readonly recommendations: number;
  readonly alerts: number;
  /** The same in words, a line a component. */
  readonly text: string;
}

export interface ComponentSummary {
  readonly component: string;
  readonly health: Health['status'];
  readonly responseTimeMsP95?: number;
  readonly requestsPerSecond?: number;
  readonly errorRatio?: number;
  readonly tried: number;
  readonly kept: number;
  readonly rolledBack: number;
  /** What the changes kept gained together, in objective: 0.3 is 30 % lower. Absent where none was measured. */
  readonly gained?: number;
}

export function summaryOf(facts: SummaryFacts): Summary {
  const { atMs, fromMs, recommendations, alerts } = facts;
  const components = facts.components.map((one) => componentSummary(one, facts.decisions));
  const lines = components.map(lineOf);
  const head = `${count(alerts, 'open alert')}, ${count(recommendations, 'recommendation')}`;
  const body = lines.length === 0 ? ['no component has been heard of'] : lines;
  return { atMs, fromMs, components, recommendations, alerts, text: [head, ...body].join('\n') };
}

function componentSummary(
  { component, health, profile }: SummaryFacts['components'][number],
  decisions: readonly Decision[],
): ComponentSummary {
  const own = decisions.filter((decision) => decision.component === component);
  const of = (kind: Decision['kind']): readonly Decision[] => own.filter((decision) => decision.kind === kind);
  const kept = of('promoted');
  const effects = kept.flatMap(({ evidence }) => evidence?.effect?.estimate ?? []);
  const { responseTime, throughput, errorRate } = profile?.metrics ?? {};
  return {
    component,
    health: health.status,
    ...(responseTime?.p95 !== undefined && { responseTimeMsP95: responseTime.p95 }),
    ...(throughput !== undefined && { requestsPerSecond: throughput.average }),
    ...(errorRate !== undefined && { errorRatio: errorRate }),
    tried: of('trial_started').length,
    kept: kept.length,
    rolledBack: of('rolled_back').length,
    ...(effects.length > 0 && { gained: 1 - effects.reduce((product, effect) => product * (1 + effect), 1) }),
  };
}

function lineOf(summary: ComponentSummary): string {
  const { component, health, responseTimeMsP95, requestsPerSecond, errorRatio, tried, kept, rolledBack, gained } =
    summary;
  return [
    `${component}: ${health}`,
    ...(responseTimeMsP95 === undefined ? [] : [`p95 ${figure(responseTimeMsP95)} ms`]),
    ...(requestsPerSecond === undefined ? [] : [`${figure(requestsPerSecond)} requests/s`]),
    ...(errorRatio === undefined ? [] : [`${figure(errorRatio * 100)} % errors`]),
    `${count(tried, 'trial')}, ${kept} kept, ${rolledBack} rolled back`,
    ...(gained === undefined ? [] : [`objective ${figure(gained * 100)} % lower`]),
  ].join(', ');
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
