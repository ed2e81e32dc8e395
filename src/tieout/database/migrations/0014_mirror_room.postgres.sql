-- Rows of mirrors are written again and again: with room beside them a new version needs no entry in any index.
ALTER TABLE tieout_mirror_item SET (fillfactor = 50);

ALTER TABLE tieout_mirror_group SET (fillfactor = 50);
