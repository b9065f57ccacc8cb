-- A user's orders in one state, newest first. Without it, a page of the few orders that are pending would read all that are
-- delivered. The other filters are ranges of created_at, which orders_by_owner has already.
CREATE INDEX orders_by_owner_and_status ON orders (created_by, status, created_at DESC, id DESC);
