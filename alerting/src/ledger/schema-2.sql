-- The ledger, version 2: rules, registry and plans as versions, and rules in shadow.
--
--   alerts.shadow             1: a rule in shadow raised it; recorded, never shown among those that people handle
--   transitions.rule_version  the version of the rule that said so; 0 where that was not written down yet
--   texts                     files and rules as somebody wrote them, each once, by the SHA-256 of its UTF-8 bytes
--   versions                  every bundle that was ever in force: who, when, why; `body` names its texts, the modes
--                             and the version of each rule; `position` is the journal's from which it holds, empty
--                             until the journal has it

ALTER TABLE alerts ADD COLUMN shadow SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE transitions ADD COLUMN rule_version BIGINT NOT NULL DEFAULT 0;

CREATE TABLE texts (
    sha256 TEXT PRIMARY KEY,
    text   TEXT NOT NULL
); -- clustered

CREATE TABLE versions (
    id       BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    role     TEXT NOT NULL,
    origin   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    position BIGINT,
    body     TEXT NOT NULL
);
