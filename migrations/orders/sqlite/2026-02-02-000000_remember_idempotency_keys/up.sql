-- The keys of requests that made an order (header Idempotency-Key), so that a request that is sent again makes no second one.
-- A row is written in the savepoint of its order: there is never one without the other.
--
-- Neither the request nor its answer is stored: the address and the item of an order never change, so that the order is the
-- fingerprint of the request that made it, and shows what was answered.
-- WITHOUT ROWID: the rows are the index of the primary key.
CREATE TABLE idempotency_keys (
    -- Two users may choose the same key.
    user_id    INTEGER NOT NULL,
    key        TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    order_id   INTEGER NOT NULL REFERENCES orders (id),
    -- Microseconds since 1970, UTC. A key that is older than 24 hours is deleted.
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;

-- Finds the oldest keys, to delete them.
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
