-- The line: receipts, the inbox, conversations, the outbox, and what turns keep.

CREATE TABLE receipt (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at REAL NOT NULL,
    raw BLOB NOT NULL
);

CREATE TABLE inbox (
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
    responded_at REAL,
    UNIQUE (account, kind, key)         -- one happening, one row: this is what makes a repeat harmless
);

-- One writer: inbox ids are commit order, so they order a conversation too.
CREATE INDEX inbox_line ON inbox (conversation, id);
CREATE INDEX inbox_parked ON inbox (id) WHERE status = 'parked';

CREATE TABLE conversation (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    state BLOB NOT NULL DEFAULT '{}',
    pending INTEGER NOT NULL,
    head INTEGER NOT NULL,              -- no waiting event of it has a smaller number
    ready_at REAL,                      -- NULL: nothing to do
    because TEXT NOT NULL DEFAULT '',   -- leased, error; for people
    fence INTEGER NOT NULL DEFAULT 0,
    started INTEGER NOT NULL DEFAULT 0, -- attempts at the head event that did not end: crashes, and the running one
    errors INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX conversation_ready ON conversation (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX conversation_suspect ON conversation (ready_at) WHERE started >= 2;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
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

CREATE INDEX outbox_ready ON outbox (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX outbox_lane ON outbox (conversation, id) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_turn ON outbox (inbox);
CREATE INDEX outbox_parked ON outbox (id) WHERE state = 'parked';

CREATE TABLE parked (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    raw BLOB NOT NULL
);

CREATE TABLE account (
    name TEXT PRIMARY KEY,
    paused_until REAL NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE once (
    turn TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments TEXT NOT NULL,
    at REAL NOT NULL,
    result BLOB,                        -- NULL: begun, not done
    PRIMARY KEY (turn, name)
) WITHOUT ROWID;

CREATE INDEX once_age ON once (at);

CREATE TABLE memory (
    person TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (person, key)
) WITHOUT ROWID;

CREATE TABLE kept (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
