-- Without the constraints whose indexes were written at random; those of migration 6 keep a key there once. SQLite
-- drops no constraint: the tables are written anew. That takes some 25 s for each million messages, and free room of one
-- and a half times the size of the file.

CREATE TABLE inbox_anew (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    conversation TEXT NOT NULL,
    receipt INTEGER NOT NULL,
    event BLOB NOT NULL,
    status TEXT NOT NULL,               -- waiting, done, parked
    reason TEXT NOT NULL DEFAULT '',
    handler TEXT NOT NULL DEFAULT '',
    duplicates INTEGER NOT NULL DEFAULT 0,
    received_at REAL NOT NULL,
    authenticated_at REAL NOT NULL,
    parsed_at REAL NOT NULL,
    accepted_at REAL NOT NULL,
    routed_at REAL,
    responded_at REAL
);

INSERT INTO inbox_anew (id, account, kind, key, conversation, receipt, event, status, reason, handler, duplicates,
                        received_at, authenticated_at, parsed_at, accepted_at, routed_at, responded_at)
SELECT id, account, kind, key, conversation, receipt, event, status, reason, handler, duplicates,
       received_at, authenticated_at, parsed_at, accepted_at, routed_at, responded_at FROM inbox ORDER BY id;

DROP TABLE inbox;
ALTER TABLE inbox_anew RENAME TO inbox;

-- One happening, one row: this is what makes a repeat harmless.
CREATE UNIQUE INDEX inbox_key ON inbox
    (substr(key, length(rtrim(key, replace(key, '/', ''))) + 1), account, kind, key);

-- One writer: inbox ids are commit order, so they order a conversation too.
CREATE INDEX inbox_line ON inbox (conversation, id);
CREATE INDEX inbox_parked ON inbox (id) WHERE status = 'parked';

CREATE TABLE outbox_anew (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    inbox INTEGER NOT NULL,
    account TEXT NOT NULL,
    conversation TEXT NOT NULL,
    action BLOB NOT NULL,
    address BLOB NOT NULL,
    class TEXT NOT NULL,
    state TEXT NOT NULL,                -- pending, sending, sent, parked
    withheld_until REAL NOT NULL DEFAULT 0, -- a passive reply: the held request fetches it before that
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    ready_at REAL,                      -- only the head of a conversation's lane has it
    window REAL NOT NULL,
    sure_until REAL NOT NULL,
    not_after REAL NOT NULL,
    created_at REAL NOT NULL,
    received_at REAL NOT NULL,
    sending_at REAL,
    settled_at REAL,
    ids TEXT NOT NULL DEFAULT '[]'
);

INSERT INTO outbox_anew (id, key, inbox, account, conversation, action, address, class, state, withheld_until, reason,
                         attempts, fence, ready_at, window, sure_until, not_after, created_at, received_at, sending_at,
                         settled_at, ids)
SELECT id, key, inbox, account, conversation, action, address, class, state, withheld_until, reason,
       attempts, fence, ready_at, window, sure_until, not_after, created_at, received_at, sending_at,
       settled_at, ids FROM outbox ORDER BY id;

DROP TABLE outbox;
ALTER TABLE outbox_anew RENAME TO outbox;

CREATE UNIQUE INDEX outbox_key ON outbox (inbox, key); -- one effect, one row
CREATE INDEX outbox_ready ON outbox (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX outbox_lane ON outbox (conversation, id) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_parked ON outbox (id) WHERE state = 'parked';
CREATE INDEX outbox_broadcast ON outbox (conversation, id) WHERE class = 'broadcast';
