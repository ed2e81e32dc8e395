"""A local copy of suppliers' data, followed by plan, by browsing, by ordering and by push."""
