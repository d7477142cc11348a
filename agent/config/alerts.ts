import { validate as isCron } from 'node-cron';
import { z } from 'zod';
import { SEVERITIES } from '../core/detect/anomaly.ts';
import { choice, duration, flag, integer, pemFile, secretHeaders, text } from './kinds.ts';
import type { Config } from './schema.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Who is told when things get worse. */
export const alerts = z
  .strictObject({
    enabled: flag('false: nobody is told. Otherwise the log is, and the webhook where there is one.').default(true),
    health: choice('From which health of a component on; off: never. See thresholds.', [
      'degraded',
      'unhealthy',
      'off',
    ]).default('unhealthy'),
    anomaly: choice('From which severity of an anomaly on; off: never.', [...SEVERITIES, 'off']).default('high'),
    slo: flag('When the error budget of tuning.slo burns too fast.').default(true),
    forecastWithin: duration('When a limit will be reached within this time, even on the lucky path; null: never.', {
      min: MINUTE,
      max: 30 * DAY,
    })
      .nullable()
      .default(DAY),
    hold: duration('It must have held for this long.', { min: 0, max: DAY }).prefault('1m'),
    resolve: duration('It is over, and that is said, when it has been away for this long.', {
      min: 0,
      max: DAY,
    }).prefault('5m'),
    repeat: duration('Said again after this time while it lasts; null: once.', { min: MINUTE, max: 30 * DAY })
      .nullable()
      .default(4 * HOUR),
    maxPerHour: integer('Notices an hour; those beyond come later, when they still hold.', {
      min: 1,
      max: 10_000,
    }).default(30),
    report: z
      .string()
      .max(100)
      .refine((cron) => isCron(cron))
      .nullable()
      .default(null)
      .meta({
        description:
          'When a summary of the last 24 hours goes to the log and the webhook, as a cron line; null: never.',
        allowed: 'a cron line of five or six fields, such as "0 8 * * *", or null',
        example: '0 8 * * *',
      }),
    webhook: z
      .strictObject({
        url: text(
          'Where notices are posted as JSON; null: nowhere. Their `text` is what Slack and Mattermost show.',
          'http://… or https://…, or null',
          /^https?:\/\/[^\s\p{Cc}@]{1,2000}$/u,
        )
          .nullable()
          .default(null),
        headers: secretHeaders('ALERT_TOKEN'),
        timeout: duration('One attempt may take this long.', { min: 100, max: 5 * MINUTE }).prefault('5s'),
        retry: z
          .strictObject({
            initial: duration('Wait before the first retry; doubles with each.', { min: 10, max: MINUTE }).prefault(
              '1s',
            ),
            max: duration('Longest wait.', { min: 100, max: HOUR }).prefault('1m'),
            maxAttempts: integer('Attempts; then it is given up, and counted.', { min: 1, max: 100 }).default(8),
          })
          .meta({ description: 'After an attempt that may succeed later.' })
          .prefault({}),
        maxQueued: integer('Notices that wait; beyond, the oldest is given up, and counted.', {
          min: 1,
          max: 10_000,
        }).default(100),
        tls: z
          .strictObject({
            ca: pemFile('Certificates of who may vouch for the receiver; null: the system’s own.')
              .nullable()
              .default(null),
            cert: pemFile('Our certificate, where the receiver wants one; null: none.').nullable().default(null),
            key: pemFile('Its private key.').nullable().default(null),
          })
          .meta({ description: 'For https.' })
          .prefault({}),
      })
      .meta({ description: 'An HTTP endpoint that is told.' })
      .prefault({}),
  })
  .meta({ description: 'Who is told when a component gets worse, and when that is over.' })
  .prefault({});

type Must = (holds: boolean, path: string, message: string) => void;

export function alertRules({ alerts: { webhook } }: Config, must: Must): void {
  must(
    webhook.url === null || URL.canParse(webhook.url),
    'alerts.webhook.url',
    'is no URL; allowed: http://… or https://…',
  );
  must(
    webhook.retry.initial <= webhook.retry.max,
    'alerts.webhook.retry.initial',
    'must not be above alerts.webhook.retry.max',
  );
  must(
    (webhook.tls.cert === null) === (webhook.tls.key === null),
    'alerts.webhook.tls',
    'cert and key belong together; give both or neither',
  );
  const own = Object.keys(webhook.headers).find((name) =>
    /^(?:host|content-.*|transfer-encoding|connection)$/i.test(name),
  );
  must(own === undefined, 'alerts.webhook.headers', `${own} is set by the agent itself; leave it out`);
}
