import { z } from 'zod';
import { address, bytes, choice, duration, secret, secretHeaders, text } from './kinds.ts';

/** Sections about what is behind the agent and what it shows of itself. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MIB = 1024 ** 2;
const PATH = /^[^\p{Cc}]{1,4096}$/u;

const optionalPem = (description: string) =>
  text(description, 'the path of a PEM file, or null', PATH).nullable().default(null);

export const upstream = z
  .strictObject({
    endpoint: text(
      'Where everything received goes on to, as it came: metrics, traces and logs. null: metrics end here after use, and ' +
        'traces and logs are answered with success and dropped.',
      'http://host:port, https://host:port (with protocol http also with a path) or null',
      /^https?:\/\/[^\s\p{Cc}/?#@]{1,255}(?:\/[^\s\p{Cc}?#]{0,500})?$/u,
    )
      .nullable()
      .default(null),
    protocol: choice('OTLP over gRPC, or over HTTP with /v1/metrics, /v1/traces and /v1/logs added to the endpoint.', [
      'grpc',
      'http',
    ]).default('grpc'),
    headers: secretHeaders('BACKEND_TOKEN'),
    compression: choice('Of what is sent.', ['gzip', 'none']).default('gzip'),
    timeout: duration('One attempt may take this long.', { min: 100, max: 5 * MINUTE }).prefault('10s'),
    retry: z
      .strictObject({
        initial: duration('Wait before the first retry; doubles with each, within half of itself either way.', {
          min: 10,
          max: MINUTE,
        }).prefault('1s'),
        max: duration('Longest wait, unless the upstream asks for more (up to 15m).', { min: 100, max: HOUR }).prefault(
          '30s',
        ),
      })
      .meta({ description: 'After an attempt that may succeed later.' })
      .prefault({}),
    queue: z
      .strictObject({
        path: text(
          'SQLite file of what is not delivered yet. With it, a sender is answered when its request is on the disk, and ' +
            'not even kill -9 loses that. null: in memory only.',
          'a path, or null',
          PATH,
        )
          .nullable()
          .default('performance-optimizer-queue.db'),
        maxBytes: bytes(
          'Most bytes of requests on the disk; beyond, the oldest are dropped. The file may be twice as large.',
          {
            min: MIB,
            max: 1_048_576 * MIB,
          },
        ).prefault('1GiB'),
        maxMemoryBytes: bytes('The same in memory: without a file, and while the disk refuses.', {
          min: MIB,
          max: 4096 * MIB,
        }).prefault('16MiB'),
        maxAge: duration('What is older is dropped.', { min: MINUTE, max: 365 * DAY }).prefault('24h'),
      })
      .meta({ description: 'What waits for the upstream.' })
      .prefault({}),
    tls: z
      .strictObject({
        ca: optionalPem("Who may vouch for the upstream; null: the system's authorities."),
        cert: optionalPem('Our certificate, where the upstream wants one.'),
        key: optionalPem('Its key.'),
      })
      .meta({ description: 'For https endpoints.' })
      .prefault({}),
  })
  .meta({ description: 'Where telemetry goes on to.' })
  .prefault({});

export const web = z
  .strictObject({
    address: address('Over HTTP: /metrics (Prometheus), /healthz, /readyz, /status. Only for reading. null: none.')
      .nullable()
      .default('127.0.0.1:4320'),
    key: secret(
      'Needed beyond loopback: asked for as `authorization: Bearer KEY`, except by the two probes. It travels unencrypted.',
      'at least 16 characters without spaces, or null',
      /^[\x21-\x7e]{16,512}$/,
    )
      .nullable()
      .default(null),
  })
  .meta({ description: 'Pages that show what the agent does.' })
  .prefault({});
