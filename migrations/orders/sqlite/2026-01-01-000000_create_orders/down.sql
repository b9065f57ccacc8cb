-- For development only: this deletes every order.
DROP TABLE orders;
