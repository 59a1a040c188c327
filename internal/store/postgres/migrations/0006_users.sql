-- +goose Up
-- +goose StatementBegin

-- Who signs in to the console. Users, sessions and invitations are few and are
-- found by themselves; the roles that users have belong to organizations.
CREATE TABLE users (
  id         text COLLATE "C" PRIMARY KEY,
  email      text COLLATE "C" NOT NULL CONSTRAINT users_by_email UNIQUE, -- in lower case
  name       text NOT NULL,
  password   text NOT NULL,               -- hash, '' for who signs in elsewhere
  created_at bigint NOT NULL
);

CREATE TABLE memberships (
  organization text COLLATE "C" NOT NULL, -- '*' is all of them
  member       text COLLATE "C" NOT NULL, -- users.id
  role         text NOT NULL,             -- viewer, operator, administrator
  since        bigint NOT NULL,
  PRIMARY KEY (organization, member)
);
CREATE INDEX memberships_by_user ON memberships (member);

CREATE TABLE sessions (
  hash       bytea PRIMARY KEY,           -- of what the browser holds
  member     text COLLATE "C" NOT NULL,   -- users.id
  created_at bigint NOT NULL,
  seen_at    bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (member);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE invitations (
  organization text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  hash         bytea NOT NULL CONSTRAINT invitations_by_hash UNIQUE, -- of what stands in the link
  role         text NOT NULL,
  note         text NOT NULL,
  invited_by   text NOT NULL,
  created_at   bigint NOT NULL,
  expires_at   bigint NOT NULL,
  first        boolean NOT NULL,          -- for the first user of all
  PRIMARY KEY (organization, id)
);

-- Who changed what, for ever.
CREATE TABLE changes (
  organization text COLLATE "C" NOT NULL,
  id           bytea NOT NULL,
  integration  text COLLATE "C" NOT NULL, -- '' if it is about none
  at           bigint NOT NULL,
  actor        text NOT NULL,
  action       text NOT NULL,
  details      text NOT NULL,             -- JSON
  PRIMARY KEY (organization, id)
);
CREATE INDEX changes_by_integration ON changes (organization, integration, id);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE changes, invitations, sessions, memberships, users;
-- +goose StatementEnd
