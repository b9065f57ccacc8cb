-- The trace of the request that led to the event: see ../../sqlite. A new column without a default rewrites no row.
ALTER TABLE events ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);
