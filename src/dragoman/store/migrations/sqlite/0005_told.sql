-- What was told, in the order in which it was committed: what people wrote, and what the bot said once it was sent.
-- Who follows the line reads it by this number. None is given twice: the newest row is never pruned.

CREATE TABLE told (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    inbox INTEGER,                      -- one of the two
    outbox INTEGER
);
