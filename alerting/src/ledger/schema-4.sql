-- The ledger, version 4: what gateways report of a delivery after it was accepted.
--
--   deliveries.state  has a new state between accepted and delivered, so that states still only grow:
--                     4 accepted, 5 failed (the gateway says that it did not arrive), 6 delivered
--   receipts          reports of gateways as they came, a bounded number for each delivery

UPDATE deliveries SET state = 6 WHERE state = 5;
CREATE INDEX deliveries_failed ON deliveries (id) WHERE state = 5;

CREATE TABLE receipts (
    delivery BIGINT NOT NULL REFERENCES deliveries (id),
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    attempt  BIGINT NOT NULL,
    status   BIGINT NOT NULL,
    meaning  TEXT NOT NULL,  -- accepted, failed, delivered or unknown
    changed  SMALLINT NOT NULL,
    detail   TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
); -- clustered
