-- Orders: each belongs to the user who made it.
--
-- STRICT: SQLite refuses a value of another type instead of storing it as it comes.
-- AUTOINCREMENT: the id of a deleted order is never given to another one, so that an old link never shows a new order.
CREATE TABLE orders (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The lengths are those of the domain, counted in characters. They are checked here too, because a table outlives
    -- the program that fills it.
    address    TEXT    NOT NULL CHECK (length(address) BETWEEN 1 AND 500),
    item       TEXT    NOT NULL CHECK (length(item) BETWEEN 1 AND 200),
    status     TEXT    NOT NULL CHECK (status IN ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled')),
    -- The id of a user. Users live in a service of their own, so that no foreign key can point at them.
    created_by INTEGER NOT NULL,
    -- Microseconds since 1970, UTC.
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Counts the states of an order, from 1; the entity tag is made from it.
    version    INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1)
) STRICT;

-- A user's orders, newest first: a page starts where the one before ended, whatever the size of the table.
-- The id breaks ties, because orders made at the same moment are committed together.
CREATE INDEX orders_by_owner ON orders (created_by, created_at DESC, id DESC);
