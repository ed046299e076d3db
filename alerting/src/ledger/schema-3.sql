-- The ledger, version 3: who may use the service.
--
--   accounts         people; `password` is an argon2id hash in its usual text form; `hazards` and `zones` are JSON
--                    lists, an empty one binds to nothing; never deleted, because the audit names them
--   sessions         who is logged in; `id` is the SHA-256 of what the cookie carries
--   known_addresses  from where an account has logged in: whoever guesses elsewhere does not keep it out there
--   api_tokens       programs; `sha256` is that of the token, `prefix` how it begins; never deleted
--   events.alert     the alert that an event belongs to, by which those who are bound are told; empty in events of
--                    the whole, and in those that were written before

CREATE TABLE accounts (
    name         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    role         TEXT NOT NULL,
    hazards      TEXT NOT NULL,
    zones        TEXT NOT NULL,
    password     TEXT NOT NULL,
    must_change  SMALLINT NOT NULL,
    disabled     SMALLINT NOT NULL,
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL
); -- clustered

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES accounts (name),
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
); -- clustered

CREATE TABLE known_addresses (
    account TEXT NOT NULL REFERENCES accounts (name),
    address TEXT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (account, address)
); -- clustered

CREATE TABLE api_tokens (
    id         BIGINT PRIMARY KEY,
    name       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    sha256     TEXT NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    hazards    TEXT NOT NULL,
    zones      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT
);

ALTER TABLE events ADD COLUMN alert BIGINT;
UPDATE events SET alert = (SELECT alert FROM warnings WHERE warnings.id = events.warning) WHERE warning IS NOT NULL;
