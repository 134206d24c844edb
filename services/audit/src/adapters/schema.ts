export const schemaVersion = 1;

/** The evidence log's tables. An entry, once written, can be neither changed nor deleted through SQL. */
export const schema = `
CREATE TABLE producers (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,            -- of the last event that was taken
  prev TEXT NOT NULL,              -- hex SHA-256 of that event's canonical form
  UNIQUE (source, epoch)
) STRICT;
CREATE TABLE entries (
  idx INTEGER PRIMARY KEY,         -- 0, 1, 2 … without a hole
  leaf_hash BLOB NOT NULL,         -- RFC 6962 leaf hash of entry
  event_hash BLOB NOT NULL,        -- SHA-256 of the event's canonical form
  id TEXT NOT NULL UNIQUE,
  producer INTEGER NOT NULL REFERENCES producers (id),
  seq INTEGER NOT NULL,
  tenant TEXT,
  agent TEXT,
  session TEXT,
  type TEXT NOT NULL,
  time TEXT NOT NULL,
  entry TEXT NOT NULL,             -- canonical {"event","seal"}
  UNIQUE (producer, seq)
) STRICT;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'an entry cannot be changed'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'an entry cannot be deleted'); END;
CREATE TABLE anomalies (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  about TEXT NOT NULL,
  detail TEXT NOT NULL,
  tenant TEXT,
  agent TEXT,
  session TEXT,
  at INTEGER NOT NULL,
  times INTEGER NOT NULL DEFAULT 1,
  to_evidence INTEGER NOT NULL,
  event TEXT                       -- the evidence.anomaly event that tells of it
) STRICT;
CREATE INDEX anomalies_unreported ON anomalies (id) WHERE event IS NULL AND to_evidence = 1;
CREATE TABLE quarantine (
  digest TEXT PRIMARY KEY,         -- hex SHA-256 of body
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  at INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE TABLE open_calls (
  call TEXT PRIMARY KEY,
  deadline INTEGER NOT NULL,       -- milliseconds since the epoch
  decided TEXT NOT NULL,
  tenant TEXT,
  agent TEXT,
  session TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX open_calls_deadline ON open_calls (deadline);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
PRAGMA user_version = ${schemaVersion};
`;
