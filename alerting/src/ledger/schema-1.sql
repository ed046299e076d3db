-- The ledger, version 1: what people are held to. The SQL is the part that SQLite and PostgreSQL share.
--
-- Times are BIGINT milliseconds since 1970 in UTC, flags and states SMALLINT, `body` JSON. Where a table has a
-- `body`, the body is the record and the columns beside it only serve queries; both are written together.
-- Ids are given by the one writer, ascending from 1, and never used twice.
-- Every index is a page more to write in the transaction that people wait for. So what belongs to an alert is found
-- through its alert, what rows hardly ever have is indexed where they have it, and `clustered` marks tables that
-- SQLite keeps in the order of their key, without an index beside them.
--
--   ledger      one row: the journal position up to which everything below is complete
--   alerts      one row per alert; at most one that is not closed per rule and subject
--   transitions the history of each alert's condition; `version` is the alert's
--   warnings    messages as issued; body, CAP text and recipients never change, `state` says what became of them
--   deliveries  one warning to one recipient by one channel; `state` only grows:
--               0 queued, 1 sending, 2 dead, 3 cancelled, 4 accepted, 5 delivered
--   attempts    what each try of a delivery came to
--   acts        who did what, people and the service itself: the audit
--   events      what changed, in order, for those who follow along; pruned by age. Those of a warning have no body:
--               the warning's row says it
--   answers     the first answer to each idempotency key; pruned by age

CREATE TABLE ledger (
    one      SMALLINT PRIMARY KEY CHECK (one = 1),
    position BIGINT NOT NULL
);
INSERT INTO ledger (one, position) VALUES (1, 0);

CREATE TABLE alerts (
    id           BIGINT PRIMARY KEY,
    rule         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    hazard       TEXT NOT NULL,
    zone         TEXT NOT NULL,
    level        SMALLINT NOT NULL,
    condition    SMALLINT NOT NULL,  -- 0 active, 1 recovered
    handling     SMALLINT NOT NULL,  -- 0 new, 1 acknowledged, 2 verified, 3 assigned, 4 closed
    attention    SMALLINT NOT NULL,
    active_since BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    body         TEXT NOT NULL
);
CREATE UNIQUE INDEX alerts_one_open ON alerts (rule, subject) WHERE handling < 4;
CREATE INDEX alerts_newest ON alerts (active_since, id);
CREATE INDEX alerts_forced ON alerts (id) WHERE handling = 4 AND condition = 0;

CREATE TABLE transitions (
    alert       BIGINT NOT NULL REFERENCES alerts (id),
    version     BIGINT NOT NULL,
    position    BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    level       SMALLINT NOT NULL,
    value       DOUBLE PRECISION,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (alert, version)
); -- clustered

CREATE TABLE warnings (
    id         BIGINT PRIMARY KEY,
    chain      BIGINT NOT NULL,
    alert      BIGINT NOT NULL REFERENCES alerts (id),
    identifier TEXT NOT NULL UNIQUE,
    hazard     TEXT NOT NULL,
    sent       BIGINT NOT NULL,
    expires    BIGINT NOT NULL,
    state      SMALLINT NOT NULL,  -- 0 in force, 1 superseded, 2 lifted, 3 withdrawn, 4 the end of its chain
    automatic  SMALLINT NOT NULL,
    issued_by  TEXT NOT NULL,
    body       TEXT NOT NULL,
    cap        TEXT NOT NULL
);
CREATE INDEX warnings_alert ON warnings (alert, id);

CREATE TABLE deliveries (
    id               BIGINT PRIMARY KEY,
    warning          BIGINT NOT NULL REFERENCES warnings (id),
    chain            BIGINT NOT NULL,
    alert            BIGINT NOT NULL REFERENCES alerts (id),
    message_id       TEXT NOT NULL,
    department       TEXT NOT NULL,
    department_name  TEXT NOT NULL,
    contact          TEXT NOT NULL,
    channel          TEXT NOT NULL,
    address          TEXT NOT NULL,
    state            SMALLINT NOT NULL,
    attempts         BIGINT NOT NULL,
    detail           TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    accepted_at      BIGINT,
    delivered_at     BIGINT,
    ended_at         BIGINT,
    answer           SMALLINT,  -- 1 received, 2 on the way, 3 done
    answered_at      BIGINT,
    answered_by      TEXT,
    answer_note      TEXT,
    retry_of         BIGINT REFERENCES deliveries (id)
);
CREATE UNIQUE INDEX deliveries_retry ON deliveries (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX deliveries_alert ON deliveries (alert, id);
CREATE INDEX deliveries_work ON deliveries (state, id) WHERE state < 3;

CREATE TABLE attempts (
    delivery   BIGINT NOT NULL REFERENCES deliveries (id),
    number     BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    outcome    TEXT NOT NULL,  -- delivered, accepted, retry or refused
    status     BIGINT,
    detail     TEXT NOT NULL,
    latency_us BIGINT NOT NULL,
    PRIMARY KEY (delivery, number)
); -- clustered

CREATE TABLE acts (
    id       BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    role     TEXT NOT NULL,
    origin   TEXT NOT NULL,
    act      TEXT NOT NULL,
    alert    BIGINT,
    warning  BIGINT,
    delivery BIGINT,
    body     TEXT NOT NULL
);
CREATE INDEX acts_alert ON acts (alert, id);

CREATE TABLE events (
    id      BIGINT PRIMARY KEY,
    at      BIGINT NOT NULL,
    kind    TEXT NOT NULL,
    warning BIGINT,
    body    TEXT
);

CREATE TABLE answers (
    actor   TEXT NOT NULL,
    key     TEXT NOT NULL,
    asked   TEXT NOT NULL,  -- SHA-256 of the call
    body    TEXT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX answers_at ON answers (at);
