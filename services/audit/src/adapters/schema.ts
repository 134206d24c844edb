export const schemaVersion = 2;

/**
 * What orders the evidence, and the entries until the published folder holds them. No entry can be changed through SQL, and none
 * deleted before that.
 */
export const schema = `
CREATE TABLE producers (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,            -- of the last event that was taken
  prev TEXT NOT NULL,              -- hex SHA-256 of that event's canonical form
  alive INTEGER NOT NULL DEFAULT 0, -- it said that it started, and not that it stops; nor was its silence reported
  UNIQUE (source, epoch)
) STRICT;
CREATE INDEX producers_alive ON producers (id) WHERE alive = 1;
CREATE TABLE entries (
  idx INTEGER PRIMARY KEY,         -- 0, 1, 2 … without a hole; the first ones are in the published folder alone
  leaf_hash BLOB NOT NULL,         -- RFC 6962 leaf hash of entry
  tenant TEXT,
  type TEXT NOT NULL,
  entry TEXT NOT NULL              -- canonical {"event","seal"}
) STRICT;
CREATE TABLE places (
  producer INTEGER NOT NULL REFERENCES producers (id),
  seq INTEGER NOT NULL,
  event_hash BLOB NOT NULL,        -- SHA-256 of the event's canonical form
  PRIMARY KEY (producer, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE ids (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  size INTEGER NOT NULL,           -- how many entries the log has
  edge BLOB NOT NULL,              -- the right edge of its tree: the hashes side by side
  kept INTEGER NOT NULL,           -- entries before this one may be deleted: they are published
  fence TEXT NOT NULL              -- the lease under which entries may be appended
) STRICT;
INSERT INTO meta VALUES (1, 0, x'', 0, '');
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'an entry cannot be changed'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries WHEN old.idx >= (SELECT kept FROM meta)
  BEGIN SELECT RAISE(ABORT, 'an entry cannot be deleted'); END;
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
PRAGMA user_version = ${schemaVersion};
`;
