-- What has happened to orders, for other systems to follow (an outbox): one row for each version of an order, written in the
-- savepoint of the change. So there is never an event without its change, or a change without its event.
--
-- AUTOINCREMENT: a number is never given twice, and since changes are made one after another, whoever has read up to a number
-- has missed nothing before it. Rows are kept as long as the orders are; there are at most four of each order.
CREATE TABLE events (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The address and the item of an order never change, so that they are not stored again.
    order_id   INTEGER NOT NULL REFERENCES orders (id),
    version    INTEGER NOT NULL CHECK (version >= 1),
    -- The status of the order from this version on.
    status     TEXT    NOT NULL CHECK (status IN ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled')),
    -- Microseconds since 1970, UTC: when it happened. Never before the event that precedes it.
    created_at INTEGER NOT NULL,
    -- No version has two events. It also finds the events of an order.
    UNIQUE (order_id, version)
) STRICT;

-- Orders that were made before there were events: what they are now, in the order in which they were made.
INSERT INTO events (order_id, version, status, created_at)
SELECT id, version, status, updated_at FROM orders ORDER BY id;
