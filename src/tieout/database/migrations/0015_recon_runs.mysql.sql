ALTER TABLE tieout_recon_run ADD COLUMN progress LONGTEXT;

ALTER TABLE tieout_recon_run ADD COLUMN seen_at BIGINT;

ALTER TABLE tieout_recon_run ADD COLUMN aborted INT NOT NULL DEFAULT 0;

ALTER TABLE tieout_recon_break ADD COLUMN process VARBINARY(16);

ALTER TABLE tieout_recon_run ADD COLUMN note LONGTEXT;
