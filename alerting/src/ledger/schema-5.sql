-- The ledger, version 5: alerts that nobody watches any more. An older program would take them for damaged.
--
--   alerts.condition  2: unwatched, because the rule or the sensor was changed or removed
--   transitions.kind  `unwatched` beside raise, change and clear

UPDATE ledger SET position = position;
