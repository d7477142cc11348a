import type { ComponentStatus, Status, TuningStatus, UpstreamStatus } from '../adapters/web/status.ts';
import { figure } from './text.ts';

/** One thing found, in a sentence, and what to do about it. */
export interface Finding {
  readonly level: 'ok' | 'note' | 'problem';
  readonly what: string;
  readonly next?: string;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** Exporters send once a minute unless told otherwise; before that, silence means nothing. */
const FIRST_EXPORT_MS = 70 * SECOND;
const STALE_MS = 3 * MINUTE;

const REFUSALS: Readonly<Record<string, string>> = {
  overloaded: 'the engine could not keep up; raise capacity.maxQueuedPoints, or send less often',
  inFlight: 'too many bytes in work at once; raise receivers.otlp.grpc.maxInFlightBytes',
  memory: 'the agent holds too much memory',
  tooLarge: 'larger than maxMessageBytes; let the exporter send smaller batches, or raise it',
  undecodable: 'no OTLP request; check that the exporter speaks the protocol of the port it sends to',
  unsupported: 'a path, method, content type or compression that OTLP over HTTP does not have; check the endpoint',
  abandoned: 'their senders gave up first; the agent is short of CPU',
  internal: 'a defect of the agent; report what its log says',
  badHttp: 'broken HTTP; check that the exporter speaks the protocol of the port it sends to',
};

/** Why nothing arrives, why nothing is tuned, and what to do next: along the way that a sample takes. */
export function diagnose(status: Status): readonly Finding[] {
  const { engine, version, startedMs, nowMs } = status;
  const head = ok(`The agent ${version} has been running for ${span(nowMs - startedMs)}.`);
  if (!engine.monitoring) {
    return [head, problem('Nothing is received or sampled: monitoring.enabled is false.', 'Set it to true.')];
  }
  return [
    head,
    ...ofReceiver(status),
    ...ofEngine(status),
    ...ofJournal(status),
    ...ofHistory(status),
    ...ofAlerts(status),
    ...ofComponents(status),
    ...ofUpstream(status),
    ...ofSampler(status),
  ];
}

function ofReceiver({ receiver, nowMs, startedMs, components }: Status): Finding[] {
  const listening = Object.entries(receiver.addresses).flatMap(([name, address]) =>
    address === null ? [] : [{ name, address }],
  );
  if (listening.length === 0) return [problem('No receiver is listening.', 'Look into the log of the agent for why.')];
  const where = listening.map(({ name, address }) => `${address} (${name})`).join(' and ');
  const findings: Finding[] = [];
  const others = receiver.tracesDropped + receiver.logsDropped;
  if (receiver.requests === 0) {
    const next = howToSend(listening);
    const uptimeMs = nowMs - startedMs;
    if (others > 0) {
      findings.push(
        problem(
          'Traces or logs arrive, and no metrics.',
          'Turn the metrics on in the AI process: OTEL_METRICS_EXPORTER=otlp, or a meter provider with an OTLP exporter.',
        ),
      );
    } else if (components.some(({ measuredAtMs }) => measuredAtMs !== undefined)) {
      findings.push(ok(`No exporter sends to ${where}; telemetry comes from pages that are scraped.`));
    } else if (uptimeMs < FIRST_EXPORT_MS) {
      findings.push(note(`Nothing has arrived at ${where} yet, ${span(uptimeMs)} after the start.`, next));
    } else findings.push(problem(`Nothing has arrived at ${where} in the ${span(uptimeMs)} since the start.`, next));
  } else {
    findings.push(
      ok(`${receiver.requests} requests with ${receiver.pointsAccepted} data points have arrived at ${where}.`),
    );
    const rejected = listOf(receiver.pointsRejected);
    if (rejected !== '') {
      findings.push(note(`Data points were rejected, and the sender was told: ${rejected}.`, 'Mend the exporter.'));
    }
    if (components.length === 0) {
      findings.push(
        problem(
          `${receiver.pointsAccepted} data points arrived, and none is of a metric that means something to the agent.`,
          'Say under `signals` in the configuration which of your metrics is the response time; `perfopt config` shows how.',
        ),
      );
    }
  }
  for (const [reason, count] of Object.entries(receiver.requestsRefused)) {
    const words = REFUSALS[reason];
    if (count > 0 && words !== undefined) findings.push(problem(`${count} requests were refused: ${words}.`));
  }
  return findings;
}

function howToSend(listening: readonly { readonly name: string; readonly address: string }[]): string {
  const grpc = listening.find(({ name }) => name === 'grpc');
  const [way] = grpc === undefined ? listening : [grpc];
  const endpoint = way?.address.startsWith('unix:') ? way.address : `http://${way?.address}`;
  const protocol = grpc === undefined ? 'http/protobuf' : 'grpc';
  return (
    `Start the AI process with OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint} OTEL_EXPORTER_OTLP_PROTOCOL=${protocol} ` +
    'OTEL_METRIC_EXPORT_INTERVAL=5000 (milliseconds; a minute otherwise). In a container, 127.0.0.1 is the container itself.'
  );
}

function ofEngine({ engine }: Status): Finding[] {
  if (engine.halted !== undefined) {
    return [
      problem(
        `The engine has stopped for good: ${engine.halted}. Every process returns to its baselines; telemetry is still taken.`,
        'Restart the agent, and report what its log says: this is a defect.',
      ),
    ];
  }
  const findings: Finding[] = [];
  if (engine.frozen !== undefined) {
    findings.push(problem(`All tuning is frozen: ${engine.frozen}.`, 'When that is settled: `perfopt unfreeze`.'));
  }
  if (!engine.tuning) {
    findings.push(
      problem('No knob is moved: optimization.enabled is false.', 'Set it to true, or leave it to only look on.'),
    );
  }
  if (engine.series >= engine.maxSeries) {
    findings.push(
      problem(
        `The limit of ${engine.maxSeries} metric series is reached; what is new is not seen.`,
        'Take attributes away that differ by request, or raise capacity.maxSeries.',
      ),
    );
  }
  return findings;
}

function ofJournal({ journal }: Status): Finding[] {
  if (journal.unsavedDecisions === 0) return [];
  return [
    problem(
      `${journal.unsavedDecisions} decisions cannot be written to ${journal.path}, and so nothing new is tried.`,
      'Free the disk, or give the agent a file that it may write with state.path; it goes on by itself.',
    ),
  ];
}

function ofHistory({ history }: Status): Finding[] {
  if (history.problem !== undefined) {
    const next = 'Free the disk, or move the file away; tuning does not depend on it.';
    return [problem(`History is not kept: ${history.problem}.`, next)];
  }
  if (!history.kept || history.evicted === 0) return [];
  return [
    note(
      `${history.evicted} rows of history were deleted before their time, because the file is full.`,
      'Raise state.maxHistoryBytes, or shorten monitoring.dataRetention.',
    ),
  ];
}

/** Alerts shown; the rest is in `/status`. */
const MOST_ALERTS = 10;

function ofAlerts({ alerts, cgroups }: Status): Finding[] {
  const findings = alerts.open
    .slice(0, MOST_ALERTS)
    .map(({ summary, component }) => problem(`${summary}.`, `See \`perfopt recommendations ${component}\`.`));
  const lost = (alerts.webhook?.dropped.failed ?? 0) + (alerts.webhook?.dropped.refused ?? 0);
  if (lost > 0) {
    findings.push(
      problem(
        `${lost} notices could not be delivered to the alert webhook.`,
        'Check alerts.webhook.url and its headers; the log says what it answered.',
      ),
    );
  }
  if (cgroups.refused > 0) {
    const times = cgroups.refused === 1 ? 'once' : `${cgroups.refused} times`;
    findings.push(note(`Cgroup limits were refused ${times}.`, 'The log says which and why.'));
  }
  return findings;
}

function ofComponents(status: Status): Finding[] {
  return status.components.flatMap((component) => [
    ...ofTelemetry(component, status.nowMs),
    ...ofTuning(component, status),
  ]);
}

function ofTelemetry(
  { component, measuredAtMs, responseTimeMs, requestsPerSecond }: ComponentStatus,
  nowMs: number,
): Finding[] {
  if (measuredAtMs === undefined) {
    return [
      problem(
        `${component}: no response times are known.`,
        `Its metrics must carry service.name=${component}, the name that its knobs are declared under, ` +
          'and one of them must be its response time (`signals` in the configuration).',
      ),
    ];
  }
  if (nowMs - measuredAtMs > STALE_MS) {
    const ago = span(nowMs - measuredAtMs);
    return [
      problem(`${component}: the last request that telemetry speaks of was ${ago} ago.`, 'Does it get requests?'),
    ];
  }
  const speed = responseTimeMs === undefined ? '' : `, ${figure(responseTimeMs)} ms on average`;
  const load = requestsPerSecond === undefined ? '' : ` at ${figure(requestsPerSecond)} requests/s`;
  return [ok(`${component}: observed${load}${speed}.`)];
}

function ofTuning({ component, tuning, requestsPerSecond, paused }: ComponentStatus, status: Status): Finding[] {
  const say = (what: string): string => `${component}: ${what}`;
  if (tuning === undefined || !tuning.connected) {
    const what = tuning === undefined ? 'it has declared no knobs' : 'its control session is closed';
    const where = status.control.addresses.join(' or ');
    const next = `Let it declare its knobs with the client library, connected to ${where}.`;
    return [problem(say(`nothing is tuned, because ${what}.`), next)];
  }
  if (tuning.frozen !== undefined) {
    return [problem(say(`tuning is frozen: ${tuning.frozen}.`), `\`perfopt unfreeze ${component}\``)];
  }
  if (paused !== undefined) {
    const next = `It goes on by itself when that is over; \`perfopt anomalies ${component}\` says more, \`perfopt silence\` does not wait.`;
    return [problem(say(`nothing is tried while an anomaly is open: ${paused}.`), next)];
  }
  const free = tuning.knobs.filter(({ mode, pinned }) => !pinned && mode !== 'observe');
  if (tuning.knobs.length === 0) return [problem(say('it declares no knob.'), 'Declare at least one.')];
  if (free.length === 0) {
    const next = `\`perfopt mode ${component} auto\`, or \`perfopt unpin ${component} KNOB\``;
    return [problem(say('every knob is pinned or only observed.'), next)];
  }
  return [howItGoes(component, tuning, requestsPerSecond, status.engine.minRequests)];
}

function howItGoes(
  component: string,
  tuning: TuningStatus,
  requestsPerSecond: number | undefined,
  minRequests: number,
): Finding {
  const { openTrial, proposal, phase, knobs, tier } = tuning;
  const say = (what: string): string => `${component}: ${what}`;
  if (proposal !== undefined) {
    return note(
      say(`proposal ${proposal} waits for a human.`),
      `\`perfopt approve ${proposal}\` or \`perfopt reject ${proposal}\``,
    );
  }
  if (openTrial !== undefined) {
    return ok(say(`trial ${openTrial.id} (${openTrial.strategy}) runs, ${openTrial.blocks} blocks so far.`));
  }
  if (!knobs.some(({ mode, pinned }) => mode === 'auto' && !pinned)) {
    const next = `To let it apply what it proves: \`perfopt mode ${component} auto\``;
    return note(say(`tier ${tier} and the knobs' modes let the tuner recommend, not apply.`), next);
  }
  if (requestsPerSecond !== undefined && requestsPerSecond * 60 < minRequests) {
    const next = 'More load makes measuring quicker; or lower tuning.window.minRequests.';
    return note(say(`${figure(requestsPerSecond)} requests/s are few: a window wants ${minRequests} of them.`), next);
  }
  return ok(say(`connected, ${phase}; ${knobs.length} knobs.`));
}

function ofUpstream({ upstream, receiver }: Status): Finding[] {
  if (upstream !== undefined) return [...signalsOf(upstream), ...diskOf(upstream)];
  const ended = receiver.tracesDropped + receiver.logsDropped;
  if (ended === 0) return [];
  return [
    problem(
      `${ended} requests with traces or logs ended here, because nothing is behind the agent.`,
      'Set upstream.endpoint to your collector or backend.',
    ),
  ];
}

function signalsOf({ endpoint, signals }: UpstreamStatus): Finding[] {
  return Object.entries(signals).flatMap(([signal, { delivery, queued, counters }]): Finding[] => {
    const findings: Finding[] = [];
    if ((delivery.failures ?? 0) > 0) {
      findings.push(
        problem(
          `The upstream ${endpoint} does not take ${signal} (${delivery.failures} attempts): ${delivery.why ?? 'unknown'}; ` +
            `${queued.requests} requests wait.`,
          'They are sent when it is back. Check upstream.endpoint, upstream.protocol, headers and certificates.',
        ),
      );
    } else if (counters.accepted > 0)
      findings.push(ok(`${counters.delivered} requests with ${signal} went to ${endpoint}.`));
    const dropped = listOf(counters.dropped);
    if (dropped !== '') findings.push(problem(`Requests with ${signal} never reached the upstream: ${dropped}.`));
    return findings;
  });
}

function diskOf({ diskProblem }: UpstreamStatus): Finding[] {
  if (diskProblem === undefined) return [];
  return [
    problem(
      `The upstream queue cannot be written (${diskProblem}); telemetry waits in memory and would not survive a crash.`,
      'Free the disk, or set upstream.queue.path.',
    ),
  ];
}

function ofSampler({ sampler }: Status): Finding[] {
  if (sampler.failures === 0) return [];
  return [note(`${sampler.failures} readings of host or process failed.`, 'The log of the agent says which.')];
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .flatMap(([reason, count]) => (count === 0 ? [] : [`${count} ${reason.replaceAll('_', ' ')}`]))
    .join(', ');
}

/** `40 s`, `12 min`, `3 h`, `2 days` */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / SECOND));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

function ok(what: string): Finding {
  return { level: 'ok', what };
}

function note(what: string, next?: string): Finding {
  return { level: 'note', what, ...(next !== undefined && { next }) };
}

function problem(what: string, next?: string): Finding {
  return { level: 'problem', what, ...(next !== undefined && { next }) };
}
