import type { Status } from '../../agent/adapters/web/status.ts';

/** An agent that has just started, and what is different. */
export function statusWith(change: Partial<Status>): Status {
  return {
    version: '1.2.3',
    node: '24.0.0',
    pid: 1,
    epoch: 7,
    nowMs: 1_000_000,
    startedMs: 990_000,
    ready: true,
    engine: {
      monitoring: true,
      tuning: true,
      inboxDepth: 0,
      pointsAccepted: 0,
      pointsUnmapped: 0,
      series: 0,
      maxSeries: 10_000,
      minRequests: 200,
    },
    receiver: {
      addresses: { grpc: '127.0.0.1:4317', http: null },
      requests: 0,
      pointsAccepted: 0,
      pointsRejected: {},
      requestsRefused: {},
      tracesDropped: 0,
      logsDropped: 0,
    },
    journal: { path: 'state.db', unsavedDecisions: 0 },
    control: { addresses: ['127.0.0.1:4319'], sessions: 0 },
    sampler: { samples: 1, failures: 0 },
    history: { kept: true, bytes: 4096, late: 0, written: 0, unwritten: 0, evicted: 0, pruned: 0 },
    alerts: { open: [], opened: 0, resolved: 0, delayed: 0, dropped: 0 },
    recommendations: { open: 0, dropped: 0 },
    cgroups: { applied: 0, writes: 0, refused: 0, overruled: 0 },
    components: [],
    ...change,
  };
}
