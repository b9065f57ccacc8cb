-- The W3C trace context of the request that led to the event (55 characters), so that what consumers do with the event can be
-- part of the same trace. NULL: the event is older than this column.
ALTER TABLE events ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);
