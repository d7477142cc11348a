/** Marks a file as ours (`Perf`), so that a wrong path never adds tables to somebody else's database. */
export const APPLICATION_ID = 0x50657266;

/** For `migrate`. Landed steps never change; new ones are added at the end. */
export const STEPS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE state (key TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE decisions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at_ms REAL NOT NULL,
    component TEXT NOT NULL,
    kind TEXT NOT NULL,
    trial_id TEXT,
    json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX decisions_by_time ON decisions (at_ms);
  CREATE INDEX decisions_by_component ON decisions (component, seq);
  CREATE INDEX decisions_by_trial ON decisions (trial_id) WHERE trial_id IS NOT NULL;
  `,
  `
  CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms REAL NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    request TEXT NOT NULL,
    dry_run INTEGER NOT NULL,
    ok INTEGER,
    message TEXT
  ) STRICT;
  `,
];

export const SCHEMA_VERSION = STEPS.length;
