ALTER TABLE tieout_recon_run ADD COLUMN progress text;

ALTER TABLE tieout_recon_run ADD COLUMN seen_at bigint;

ALTER TABLE tieout_recon_run ADD COLUMN aborted integer NOT NULL DEFAULT 0;

ALTER TABLE tieout_recon_break ADD COLUMN process bytea;

ALTER TABLE tieout_recon_run ADD COLUMN note text;
