-- The ledger, version 6: nobody is warned of what the journal held when an older or missing ledger was found lost.
--
--   ledger.quiet_until  position up to which nobody is warned; 0 where nothing was lost

ALTER TABLE ledger ADD COLUMN quiet_until BIGINT NOT NULL DEFAULT 0;
