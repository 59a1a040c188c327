-- +goose Up
-- +goose StatementBegin

-- Who signs in to the console. Users, sessions and invitations are few and are
-- found by themselves; the roles that users have belong to organizations.
CREATE TABLE users (
  id         TEXT PRIMARY KEY,
  email      TEXT NOT NULL,               -- in lower case
  name       TEXT NOT NULL,
  password   TEXT NOT NULL,               -- hash, '' for who signs in elsewhere
  created_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX users_by_email ON users (email);

CREATE TABLE memberships (
  organization TEXT NOT NULL,             -- '*' is all of them
  member       TEXT NOT NULL,             -- users.id
  role         TEXT NOT NULL,             -- viewer, operator, administrator
  since        INTEGER NOT NULL,
  PRIMARY KEY (organization, member)
) WITHOUT ROWID, STRICT;
CREATE INDEX memberships_by_user ON memberships (member);

CREATE TABLE sessions (
  hash       BLOB PRIMARY KEY,            -- of what the browser holds
  member     TEXT NOT NULL,               -- users.id
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX sessions_by_user ON sessions (member);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE invitations (
  organization TEXT NOT NULL,
  id           TEXT NOT NULL,
  hash         BLOB NOT NULL,             -- of what stands in the link
  role         TEXT NOT NULL,
  note         TEXT NOT NULL,
  invited_by   TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  first        INTEGER NOT NULL,          -- for the first user of all
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX invitations_by_hash ON invitations (hash);

-- Who changed what, for ever.
CREATE TABLE changes (
  organization TEXT NOT NULL,
  id           BLOB NOT NULL,
  integration  TEXT NOT NULL,             -- '' if it is about none
  at           INTEGER NOT NULL,
  actor        TEXT NOT NULL,
  action       TEXT NOT NULL,
  details      TEXT NOT NULL,             -- JSON
  PRIMARY KEY (organization, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX changes_by_integration ON changes (organization, integration, id);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE changes; DROP TABLE invitations; DROP TABLE sessions; DROP TABLE memberships; DROP TABLE users;
-- +goose StatementEnd
