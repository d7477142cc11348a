import { z } from 'zod';
import { choice, pemFile, secret, text } from './kinds.ts';

/** Who may reach the control channel, and do what there. */

const NAME = /^[^\p{Cc}]{1,200}$/u;
const MAX_ROWS = 1_000;

const trust = (description: string) =>
  choice(
    `${description} nobody: a token or a certificate is needed; process: hold a session; observer: also look; operator: anything.`,
    ['nobody', 'process', 'observer', 'operator'],
  );

const credential = {
  token: secret(
    'A secret. Keep it out of the file: write the name of an environment variable, as with every other value.',
    '16 to 512 printable characters without spaces',
    /^[\x21-\x7e]{16,512}$/,
  ).exactOptional(),
  tokenFile: text(
    'A file with the secret in one line; read again when it changes.',
    'a path',
    /^[^\p{Cc}]{1,4096}$/u,
  ).exactOptional(),
  certificate: text(
    "A name in the client's certificate: its common name, or an alternative name of kind DNS or URI.",
    'a name such as spiffe://cluster/embedder, or with its kind: CN:embedder, DNS:embedder.ai, URI:spiffe://cluster/embedder',
    /^[^\p{Cc}]{1,512}$/u,
  ).exactOptional(),
};

const credentials = <S extends z.ZodRawShape>(description: string, whose: S, example: object) =>
  z
    .array(z.strictObject({ ...whose, ...credential }))
    .max(MAX_ROWS)
    .default([])
    .meta({
      description,
      allowed: `a list of at most ${MAX_ROWS} rows, each with one of token, tokenFile and certificate`,
      example: [example],
    });

export const access = z
  .strictObject({
    socket: trust('Whoever opens the Unix socket, which only this user can.').default('operator'),
    loopback: trust('Whoever connects over TCP from this machine, without a certificate.').default('observer'),
    operators: credentials(
      'Operators, by token or by client certificate.',
      { name: text('Who it is, for the record.', 'a name', NAME) },
      { name: 'alice', tokenFile: '/run/secrets/perfopt-alice' },
    ),
    processes: credentials(
      'Processes. A client certificate without a row is that of the component it is named after.',
      { component: text('Whose session it may hold.', 'the name of a component', NAME) },
      { component: 'embedder', tokenFile: '/run/secrets/perfopt-embedder' },
    ),
  })
  .meta({
    description:
      'Who may do what. A process holds the session of its component; an operator approves, pins, rolls back.',
  })
  .prefault({});

export const mutualTls = z
  .strictObject({
    cert: pemFile('The certificate, and those between it and the authority.'),
    key: pemFile('Its private key.'),
    clientCa: pemFile('Only clients with a certificate of this authority get in.'),
  })
  .nullable()
  .default(null)
  .meta({
    description: 'Mutual TLS of the TCP address. The files are read again when they change. null: no encryption.',
    example: { cert: '/etc/perfopt/tls.crt', key: '/etc/perfopt/tls.key', clientCa: '/etc/perfopt/ca.crt' },
  });
