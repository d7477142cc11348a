import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { encodeRequest } from '../../wire/otlp_schema.ts';
import {
  framed,
  type GrpcAnswer,
  GrpcClient,
  type HttpAnswer,
  HttpClient,
  hasRetryInfo,
  httpPartialOf,
  JSON_TYPE,
  type Post,
  PROTOBUF,
  partialOf,
  statusOf,
} from './clients.ts';
import { at, CUMULATIVE, DELTA, gauge, type Json, point, requestOf, sum } from './payloads.ts';
import { everywhere, type Finding, finding, type Rule, type Target, unseen } from './rule.ts';

const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
const MIB = 1024 * 1024;
/** How long a refusal may take once everything was sent. */
const PATIENCE_MS = 1_000;

const GOOD: Json = requestOf(gauge(point(1), point(2)));
const BYTES = encodeRequest(GOOD);
const JSON_TEXT = JSON.stringify(GOOD);

const told = (answer: GrpcAnswer): string => `code ${answer.code} ${answer.message.slice(0, 120)}`.trim();
const toldHttp = (answer: HttpAnswer): string =>
  `status ${answer.status} ${answer.type} ${answer.body.toString('latin1').slice(0, 80)}`.trim();

interface Clients {
  readonly grpc: GrpcClient | undefined;
  readonly http: HttpClient | undefined;
}

function rule(id: string, text: string, check: (clients: Clients, target: Target) => Promise<Finding[]>): Rule {
  return {
    id,
    rule: text,
    async check(target) {
      using grpc = target.grpc === undefined ? undefined : new GrpcClient(target.grpc);
      using http = target.http === undefined ? undefined : new HttpClient(target.http);
      // Awaited here: the clients are closed when this returns.
      return await check({ grpc, http }, target);
    },
  };
}

const COMPRESSED = [
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['zstd', zstdCompressSync],
] as const;

async function takesBoth(clients: Clients, what: string): Promise<Finding[]> {
  return (await everywhere(clients, GOOD)).map(([where, { ok, text }]) => finding(`${what} (${where})`, ok, text));
}

/** An error over HTTP: the status, and a Status in the body. */
function errorFinding(what: string, answer: HttpAnswer, statuses: readonly number[], type?: string): Finding {
  const holds = statuses.includes(answer.status) && statusOf(answer) !== undefined;
  return finding(what, holds && (type === undefined || answer.type.startsWith(type)), toldHttp(answer));
}

const transports = rule('R1', 'gRPC: unary MetricsService/Export; HTTP: POST /v1/metrics', async ({ grpc, http }) => {
  const findings: Finding[] = [];
  if (grpc !== undefined) {
    const answer = await grpc.send(framed(BYTES));
    findings.push(finding('Export over gRPC', answer.code === 0, told(answer)));
    for (const signal of ['trace.v1.TraceService', 'logs.v1.LogsService']) {
      const other = await grpc.send(
        framed(Buffer.alloc(0)),
        undefined,
        `/opentelemetry.proto.collector.${signal}/Export`,
      );
      findings.push(finding(`${signal} is answered`, other.code >= 0, told(other)));
    }
  }
  if (http !== undefined) {
    const answer = await http.send(BYTES);
    findings.push(finding('POST /v1/metrics', answer.status === 200, toldHttp(answer)));
    findings.push(errorFinding('another path', await http.send(BYTES, { path: '/v1/nothing' }), [404]));
  }
  findings.push(unseen('loopback by default, unix: sockets', 'not to be seen from where a client stands'));
  return findings;
});

const compression = rule(
  'R2',
  'none and gzip on both transports; deflate and zstd on HTTP too',
  async ({ grpc, http }) => {
    const findings: Finding[] = [];
    if (grpc !== undefined) {
      const zipped = await grpc.send(framed(gzipSync(BYTES), true), 'gzip');
      const plain = await grpc.send(framed(BYTES), 'identity');
      findings.push(finding('gzip over gRPC', zipped.code === 0, told(zipped)));
      findings.push(finding('identity over gRPC', plain.code === 0, told(plain)));
    }
    if (http !== undefined) {
      for (const [encoding, compress] of COMPRESSED) {
        for (const [type, body] of [
          [PROTOBUF, BYTES],
          [JSON_TYPE, Buffer.from(JSON_TEXT)],
        ] as const) {
          const answer = await http.send(compress(body), { type, encoding });
          findings.push(finding(`${encoding} of ${type}`, answer.status === 200, toldHttp(answer)));
        }
      }
    }
    return findings;
  },
);

const contentTypes = rule(
  'R3',
  'application/x-protobuf and application/json on one port, with parameters and in any case; the answer has the same type',
  async ({ http }) => {
    if (http === undefined) return [unseen('content types', 'no HTTP address given')];
    const findings: Finding[] = [];
    for (const [type, body] of [
      [PROTOBUF, BYTES],
      [JSON_TYPE, JSON_TEXT],
    ] as const) {
      for (const spelled of [type, `${type}; charset=utf-8`, type.toUpperCase()]) {
        const answer = await http.send(body, { type: spelled });
        findings.push(finding(spelled, answer.status === 200 && answer.type.startsWith(type), toldHttp(answer)));
      }
    }
    return findings;
  },
);

const sizeLimit = rule(
  'R4',
  'The size limit holds after decompression too: RESOURCE_EXHAUSTED without RetryInfo, 413',
  async ({ grpc, http }, { maxBytes }) => {
    const findings: Finding[] = [];
    const large = Buffer.alloc(maxBytes + MIB);
    if (grpc !== undefined) {
      for (const [what, frame, encoding] of [
        ['too large over gRPC', framed(large), undefined],
        ['a bomb over gRPC', framed(gzipSync(large), true), 'gzip'],
      ] as const) {
        const answer = await grpc.send(frame, encoding);
        findings.push(finding(what, answer.code === RESOURCE_EXHAUSTED && !hasRetryInfo(answer), told(answer)));
      }
    }
    if (http !== undefined) {
      findings.push(errorFinding('too large over HTTP', await http.send(large), [413]));
      for (const [encoding, compress] of COMPRESSED) {
        findings.push(errorFinding(`a bomb of ${encoding}`, await http.send(compress(large), { encoding }), [413]));
      }
    }
    findings.push(...(await takesBoth({ grpc, http }, 'afterwards')));
    return findings;
  },
);

const empty = rule('R5', 'An empty request or envelope succeeds', async (clients) => {
  const findings: Finding[] = [];
  for (const message of [
    {},
    { resourceMetrics: [] },
    { resourceMetrics: [{}] },
    { resourceMetrics: [{ scopeMetrics: [{}] }] },
  ]) {
    for (const [where, { ok, rejected, text }] of await everywhere(clients, message)) {
      findings.push(finding(`${JSON.stringify(message)} (${where})`, ok && rejected === 0, text));
    }
  }
  return findings;
});

const partialSuccess = rule(
  'R6',
  'Full success leaves partial_success unset; partial: OK, the number rejected, and why',
  async ({ grpc, http }) => {
    const findings: Finding[] = [];
    const half = requestOf(gauge({ asDouble: 1 }, point(3)));
    if (grpc !== undefined) {
      const full = await grpc.send(framed(BYTES));
      findings.push(finding('full (grpc)', full.code === 0 && partialOf(full) === undefined, told(full)));
      const answer = await grpc.send(framed(encodeRequest(half)));
      const partial = answer.code === 0 ? partialOf(answer) : undefined;
      findings.push(
        finding('partial (grpc)', partial?.rejected === 1 && partial.message !== '', partial ?? told(answer)),
      );
    }
    if (http !== undefined) {
      for (const [type, write] of [
        [PROTOBUF, encodeRequest],
        [JSON_TYPE, JSON.stringify],
      ] as const) {
        const full = await http.send(write(GOOD), { type });
        findings.push(
          finding(`full (${type})`, full.status === 200 && httpPartialOf(full) === undefined, toldHttp(full)),
        );
        const answer = await http.send(write(half), { type });
        const partial = answer.status === 200 ? httpPartialOf(answer) : undefined;
        const holds = partial?.rejected === 1 && partial.message !== '';
        findings.push(finding(`partial (${type})`, holds, partial ?? toldHttp(answer)));
      }
    }
    return findings;
  },
);

const undecodable = rule(
  'R7',
  "Undecodable: INVALID_ARGUMENT; 400 with a google.rpc.Status in the request's encoding; every 4xx and 5xx body is a Status",
  async ({ grpc, http }) => {
    const findings: Finding[] = [];
    const nonsense = Buffer.from([0x0a, 0xff, 0xff, 0x01, 0x07]);
    if (grpc !== undefined) {
      const answer = await grpc.send(framed(nonsense));
      findings.push(
        finding('nonsense over gRPC', answer.code === INVALID_ARGUMENT && !hasRetryInfo(answer), told(answer)),
      );
    }
    if (http !== undefined) {
      for (const type of [PROTOBUF, JSON_TYPE]) {
        findings.push(errorFinding(`nonsense as ${type}`, await http.send(nonsense, { type }), [400], type));
        findings.push(errorFinding(`404 to ${type}`, await http.send('', { type, path: '/x' }), [404], type));
        findings.push(errorFinding(`405 to ${type}`, await http.send('', { type, method: 'PUT' }), [405], type));
      }
      findings.push(errorFinding('415', await http.send('', { type: 'text/plain' }), [415]));
    }
    return findings;
  },
);

/** Sends requests that do not end, until one is refused or all are sent, and lets go of the others. */
async function overload<Answer>(
  open: () => { write(bytes: Buffer): Promise<void>; destroy(): void; readonly answer: Promise<Answer> },
  first: (chunk: number) => Buffer,
  { maxBytes, overloadBytes }: Target,
): Promise<Answer | undefined> {
  const calls: ReturnType<typeof open>[] = [];
  const chunk = Math.min(MIB, Math.floor(maxBytes / 2));
  const fill = Buffer.alloc(chunk);
  let refused: Answer | undefined;
  for (let sent = 0; sent < overloadBytes && refused === undefined; ) {
    const call = open();
    calls.push(call);
    void call.answer.then((answer) => {
      refused ??= answer;
    });
    await call.write(first(chunk));
    sent += chunk;
    for (let own = 2 * chunk; own < maxBytes && sent < overloadBytes && refused === undefined; own += chunk) {
      await Promise.race([call.write(fill), call.answer]);
      sent += chunk;
    }
  }
  // What was written may still be on its way, and the answer to it.
  if (refused === undefined) {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const none = new Promise<undefined>((resolve) => patience.addEventListener('abort', () => resolve(undefined)));
    refused = await Promise.race([...calls.map(({ answer }) => answer), none]);
  }
  for (const call of calls) call.destroy();
  return refused;
}

const overloaded = rule(
  'R8',
  'Overload: UNAVAILABLE with RetryInfo; 429 or 503 with Retry-After',
  async ({ grpc, http }, target) => {
    const findings: Finding[] = [];
    const what = `${Math.round(target.overloadBytes / MIB)} MiB of unfinished requests`;
    const none = 'everything was taken; send more with --overload-mib';
    if (grpc !== undefined) {
      const head = framed(Buffer.alloc(0));
      head.writeUInt32BE(target.maxBytes, 1);
      const first = (chunk: number): Buffer => Buffer.concat([head, Buffer.alloc(chunk - 5)]);
      const answer = await overload(() => grpc.open(), first, target);
      if (answer === undefined) findings.push(unseen(`${what} over gRPC`, none));
      else
        findings.push(finding(`${what} over gRPC`, answer.code === UNAVAILABLE && hasRetryInfo(answer), told(answer)));
    }
    if (http !== undefined) {
      const answer = await overload(
        () => http.open({}, target.maxBytes),
        (chunk) => Buffer.alloc(chunk),
        target,
      );
      if (answer === undefined) findings.push(unseen(`${what} over HTTP`, none));
      else {
        const after = Number(answer.headers['retry-after']);
        const holds = (answer.status === 429 || answer.status === 503) && after > 0 && statusOf(answer) !== undefined;
        findings.push(finding(`${what} over HTTP`, holds, `${toldHttp(answer)}, Retry-After ${after}`));
      }
    }
    findings.push(...(await takesBoth({ grpc, http }, 'afterwards')));
    return findings;
  },
);

const json = rule(
  'R9',
  'JSON: lowerCamelCase, enums as integers, unknown fields ignored, 64-bit as string or number without loss, NaN and Infinity as strings',
  async ({ http }) => {
    if (http === undefined) return [unseen('JSON', 'no HTTP address given')];
    const findings: Finding[] = [];
    const sumOf = (start: string, time: string): string =>
      `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"j","sum":{"aggregationTemporality":1,"isMonotonic":true,` +
      `"dataPoints":[{"startTimeUnixNano":${start},"timeUnixNano":${time},"asInt":"1"}]}}]}]}]}`;
    const pointOf = (fields: string): string =>
      `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"g","gauge":{"dataPoints":[{${fields}}]}}]}]}]}`;
    const quoted = (text: string): string => `"${text}"`;
    for (const [what, text, rejected] of [
      ['64-bit as strings', pointOf(`"timeUnixNano":${quoted(at(1))},"asInt":"9223372036854775807"`), 0],
      ['64-bit as numbers', pointOf(`"timeUnixNano":${at(1)},"asInt":-9223372036854775808`), 0],
      ['a nanosecond apart, as numbers', sumOf(at(1), at(2)), 0],
      ['a nanosecond too late, as numbers', sumOf(at(2), at(1)), 1],
      ['a nanosecond too late, as strings', sumOf(quoted(at(2)), quoted(at(1))), 1],
      ['NaN', pointOf('"timeUnixNano":"1","asDouble":"NaN"'), 0],
      ['Infinity', pointOf('"timeUnixNano":"1","asDouble":"-Infinity"'), 0],
      ['unknown fields', pointOf('"timeUnixNano":"1","asInt":1,"later":{"a":[1,null,"x"]},"b":true'), 0],
      ['snake_case is unknown', pointOf('"time_unix_nano":"1","asInt":1'), 1],
    ] as const) {
      const answer = await http.send(text, { type: JSON_TYPE });
      const partial = answer.status === 200 ? (httpPartialOf(answer)?.rejected ?? 0) : undefined;
      findings.push(finding(what, partial === rejected, toldHttp(answer)));
    }
    return findings;
  },
);

const ANY_VALUES: readonly Json[] = [
  {},
  { stringValue: '' },
  { stringValue: 'größe \u0000 \u{1F600}' },
  { boolValue: false },
  { intValue: '-9223372036854775808' },
  { doubleValue: Number.NaN },
  { bytesValue: 'AAEC/w==' },
  { arrayValue: {} },
  { arrayValue: { values: [{ intValue: '1' }, {}, { arrayValue: { values: [{ stringValue: 'x' }] } }] } },
  { kvlistValue: { values: [{ key: 'k', value: { kvlistValue: {} } }, { key: 'n' }] } },
];

const attributes = rule(
  'R10',
  'Attribute values of every kind (empty, bytes, arrays, kvlist) are accepted, on points, resources and scopes',
  async (clients) => {
    const findings: Finding[] = [];
    for (const value of ANY_VALUES) {
      const list = [{ key: 'a', value }];
      const message = {
        resourceMetrics: [
          {
            resource: { attributes: list },
            scopeMetrics: [
              { scope: { name: 's', attributes: list }, metrics: [gauge({ ...point(4), attributes: list })] },
            ],
          },
        ],
      };
      for (const [where, { ok, rejected, text }] of await everywhere(clients, message)) {
        findings.push(finding(`${JSON.stringify(value)} (${where})`, ok && rejected === 0, text));
      }
    }
    return findings;
  },
);

const refusals = rule(
  'R11',
  '405 for other methods, 415 for another or missing Content-Type, 400 for bad gzip',
  async ({ http }) => {
    if (http === undefined) return [unseen('HTTP', 'no HTTP address given')];
    const cases: readonly (readonly [string, Uint8Array | string, Post, number])[] = [
      ['GET', '', { method: 'GET' }, 405],
      ['PUT', BYTES, { method: 'PUT' }, 405],
      ['DELETE', '', { method: 'DELETE' }, 405],
      ['text/plain', BYTES, { type: 'text/plain' }, 415],
      ['no Content-Type', BYTES, { type: null }, 415],
      ['bad gzip', Buffer.from('no gzip'), { encoding: 'gzip' }, 400],
      ['gzip cut off', gzipSync(BYTES).subarray(0, 30), { encoding: 'gzip' }, 400],
    ];
    const findings: Finding[] = [];
    for (const [what, body, how, status] of cases)
      findings.push(errorFinding(what, await http.send(body, how), [status]));
    return findings;
  },
);

const duplicates = rule('R13', 'Duplicates after a lost acknowledgement are harmless', async (clients, target) => {
  const findings: Finding[] = [];
  const counted = (temporality: number) =>
    requestOf(sum(temporality, { startTimeUnixNano: at(1), timeUnixNano: at(9), asInt: '5' }));
  for (const message of [counted(CUMULATIVE), counted(DELTA)]) {
    if (target.grpc !== undefined) {
      // Sent, and gone before the answer.
      using lost = new GrpcClient(target.grpc);
      const call = lost.open();
      await call.write(framed(encodeRequest(message)));
      call.destroy();
    }
    for (let again = 1; again <= 2; again++) {
      for (const [where, { ok, rejected, text }] of await everywhere(clients, message)) {
        findings.push(finding(`the same for the ${again}. time (${where})`, ok && rejected === 0, text));
      }
    }
  }
  return findings;
});

const isolation = rule(
  'R14',
  'One corrupt frame, one hostile client or one slow client never stops another client',
  async (clients, target) => {
    const findings: Finding[] = [];
    if (target.grpc !== undefined) {
      using hostile = new GrpcClient(target.grpc);
      const slow = hostile.open();
      await slow.write(framed(BYTES).subarray(0, 9));
      const corrupt = await hostile.send(framed(Buffer.from('no gzip at all'), true), 'gzip');
      findings.push(finding('a corrupt frame is answered', corrupt.code > 0, told(corrupt)));
      const cut = hostile.open('gzip');
      await cut.write(framed(gzipSync(BYTES), true).subarray(0, 12));
      cut.destroy();
      findings.push(...(await takesBoth(clients, 'while a gRPC client is slow')));
      slow.destroy();
    }
    if (target.http !== undefined) {
      using hostile = new HttpClient(target.http);
      const slow = hostile.open({}, 1_000);
      await slow.write(Buffer.alloc(10));
      const cut = hostile.open({ encoding: 'gzip' }, 1_000);
      await cut.write(gzipSync(BYTES).subarray(0, 12));
      cut.destroy();
      findings.push(...(await takesBoth(clients, 'while an HTTP client is slow')));
      slow.destroy();
    }
    findings.push(...(await takesBoth(clients, 'afterwards')));
    return findings;
  },
);

/** Checked last: the receiver is gone afterwards. */
const shutdown: Rule = {
  id: 'R12',
  rule: 'After shutdown has returned, nothing reaches the engine; what is arriving is answered',
  async check(target) {
    if (target.stop === undefined) return [unseen('shutdown', 'give --pid to let the receiver be stopped (SIGTERM)')];
    const findings: Finding[] = [];
    using grpc = target.grpc === undefined ? undefined : new GrpcClient(target.grpc);
    using http = target.http === undefined ? undefined : new HttpClient(target.http);
    const arriving = grpc?.open();
    const frame = framed(BYTES);
    await arriving?.write(frame.subarray(0, 9));
    const posted = http?.open({}, BYTES.length);
    await posted?.write(Buffer.from(BYTES.subarray(0, 9)));
    // Both are known to the receiver once it has answered others that came later.
    await takesBoth({ grpc, http }, '');
    const stopped = target.stop();
    void arriving?.write(frame.subarray(9));
    arriving?.end();
    void posted?.write(Buffer.from(BYTES.subarray(9)));
    posted?.end();
    const finished = await arriving?.answer;
    const finishedPost = await posted?.answer;
    await stopped;
    if (finished !== undefined) {
      const holds = finished.code === 0 || finished.code === UNAVAILABLE;
      findings.push(finding('a gRPC request that was arriving', holds, told(finished)));
    }
    if (finishedPost !== undefined) {
      const holds = finishedPost.status === 200 || finishedPost.status === 503;
      findings.push(finding('an HTTP request that was arriving', holds, toldHttp(finishedPost)));
    }
    using lateGrpc = target.grpc === undefined ? undefined : new GrpcClient(target.grpc);
    using lateHttp = target.http === undefined ? undefined : new HttpClient(target.http);
    const late = await lateGrpc?.send(frame);
    if (late !== undefined) findings.push(finding('gRPC afterwards', late.code !== 0, told(late)));
    const latePost = await lateHttp?.send(BYTES);
    if (latePost !== undefined) findings.push(finding('HTTP afterwards', latePost.status !== 200, toldHttp(latePost)));
    return findings;
  },
};

export const RECEIVER_RULES: readonly Rule[] = [
  transports,
  compression,
  contentTypes,
  sizeLimit,
  empty,
  partialSuccess,
  undecodable,
  overloaded,
  json,
  attributes,
  refusals,
  duplicates,
  isolation,
];
export const LAST_RULE: Rule = shutdown;
