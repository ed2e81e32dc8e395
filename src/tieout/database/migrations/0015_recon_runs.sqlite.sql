ALTER TABLE tieout_recon_run ADD COLUMN progress TEXT;

ALTER TABLE tieout_recon_run ADD COLUMN seen_at INTEGER;

ALTER TABLE tieout_recon_run ADD COLUMN aborted INTEGER NOT NULL DEFAULT 0;

ALTER TABLE tieout_recon_break ADD COLUMN process BLOB;

ALTER TABLE tieout_recon_run ADD COLUMN note TEXT;
