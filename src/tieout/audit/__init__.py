"""Who did what, when and why: rows that are only ever added."""
