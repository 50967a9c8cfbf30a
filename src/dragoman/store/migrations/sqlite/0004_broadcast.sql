-- Broadcasts: one message, its recipients as rows, and what became of each.

CREATE TABLE broadcast (
    id INTEGER PRIMARY KEY,             -- rows stay: their numbers are in the deliveries' keys
    mark TEXT NOT NULL,                 -- tells the deliveries' keys from those of a store before this one
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL,                -- preparing, scheduled, running, paused, done, aborted, missed
    start_at REAL NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    total INTEGER NOT NULL DEFAULT 0,
    accounts TEXT NOT NULL DEFAULT '[]',
    counts TEXT NOT NULL DEFAULT ''     -- what became of its recipients, once these are pruned
);

CREATE INDEX broadcast_active ON broadcast (id) WHERE state IN ('scheduled', 'running');

CREATE TABLE recipient (
    broadcast INTEGER NOT NULL,
    n INTEGER NOT NULL,
    account TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place TEXT NOT NULL,                -- the channel and thread, in whichever workspace
    address TEXT NOT NULL,
    person TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', -- waiting, queued, sent, failed, unknown, skipped
    reason TEXT NOT NULL DEFAULT '',
    chunks INTEGER NOT NULL DEFAULT 0,  -- deliveries that it became
    PRIMARY KEY (broadcast, n),
    UNIQUE (broadcast, place)           -- one recipient, one row: this is what makes naming it twice harmless
) WITHOUT ROWID;

CREATE INDEX recipient_state ON recipient (broadcast, state, account, n);
CREATE INDEX recipient_queued ON recipient (account) WHERE state = 'queued';

-- What a broadcast said belongs to the history of its conversation.
CREATE INDEX outbox_broadcast ON outbox (conversation, id) WHERE class = 'broadcast';
