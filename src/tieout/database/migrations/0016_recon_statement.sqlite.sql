ALTER TABLE tieout_recon_break ADD COLUMN at INTEGER;

CREATE INDEX tieout_recon_break_at ON tieout_recon_break (rule, at);
