DROP TABLE writers;
DROP TABLE events;
DROP TABLE idempotency_keys;
DROP TABLE orders;
