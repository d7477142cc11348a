import { z } from 'zod';
import { bytes, duration, integer, text } from './kinds.ts';

/* Rows of `receivers.prometheus.targets`. */

const HOUR = 3_600_000;
const MIB = 1024 ** 2;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}$/;

function isPageAddress(value: string): boolean {
  const url = URL.parse(value);
  return (url?.protocol === 'http:' || url?.protocol === 'https:') && url.hash === '';
}

const texts = (name: RegExp, description: string, allowed: string) =>
  z
    .record(z.string().regex(name), z.string().regex(/^[^\p{Cc}]{0,2000}$/u))
    .meta({ description, allowed })
    .exactOptional();

export const scrapeTarget = z
  .strictObject({
    url: z
      .string()
      .max(2_000)
      .refine((url) => isPageAddress(url))
      .meta({ description: 'Address of the page.', allowed: 'http://host:port/path or https://host:port/path' }),
    component: text(
      'Component that the page speaks of. Without it, host and port of the address. null: none, because the page is ' +
        "the machine's, such as a DCGM exporter's.",
      'a component name or null',
      /^[^\p{Cc}]{1,200}$/u,
    )
      .nullable()
      .exactOptional(),
    interval: duration('Time between two scrapes.', { min: 100, max: HOUR }).prefault('5s'),
    timeout: duration('The whole page must have come within; at most the interval.', { min: 10, max: HOUR }).prefault(
      '3s',
    ),
    maxBytes: bytes('Largest page, after decompression.', { min: 1_024, max: 256 * MIB }).prefault('8MiB'),
    maxSeries: integer('Series of the page that are kept; beyond, dropped and counted.', {
      min: 1,
      max: 1_000_000,
    }).default(10_000),
    headers: texts(HEADER_NAME, 'Sent along.', 'a mapping of header names to texts'),
    bearerTokenFile: text(
      'File with the token to send; read for every scrape.',
      'a path',
      /^[^\p{Cc}]{1,4096}$/u,
    ).exactOptional(),
    labels: texts(/^[^\p{Cc}]{1,200}$/u, 'Resource attributes of its series.', 'a mapping of names to texts'),
  })
  .meta({ description: 'One page.' });
