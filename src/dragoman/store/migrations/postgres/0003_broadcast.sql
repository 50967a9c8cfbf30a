-- Broadcasts: one message, its recipients as rows, and what became of each.

CREATE TABLE broadcast (
    id bigserial PRIMARY KEY,           -- rows stay: their numbers are in the deliveries' keys
    mark text NOT NULL,                 -- tells the deliveries' keys from those of a store before this one
    name text NOT NULL,
    message text NOT NULL,
    state text NOT NULL,                -- preparing, scheduled, running, paused, done, aborted, missed
    start_at double precision NOT NULL,
    created_at double precision NOT NULL,
    ended_at double precision,
    total integer NOT NULL DEFAULT 0,
    accounts text NOT NULL DEFAULT '[]',
    counts text NOT NULL DEFAULT ''     -- what became of its recipients, once these are pruned
);

CREATE INDEX broadcast_active ON broadcast (id) WHERE state IN ('scheduled', 'running');

CREATE TABLE recipient (
    broadcast bigint NOT NULL,
    n integer NOT NULL,
    account text NOT NULL,
    conversation text NOT NULL,
    place text NOT NULL,                -- the channel and thread, in whichever workspace
    address text NOT NULL,
    person text NOT NULL,
    name text NOT NULL,
    state text NOT NULL DEFAULT 'waiting', -- waiting, queued, sent, failed, unknown, skipped
    reason text NOT NULL DEFAULT '',
    chunks integer NOT NULL DEFAULT 0,  -- deliveries that it became
    PRIMARY KEY (broadcast, n),
    UNIQUE (broadcast, place)           -- one recipient, one row: this is what makes naming it twice harmless
);

CREATE INDEX recipient_state ON recipient (broadcast, state, account, n);
CREATE INDEX recipient_queued ON recipient (account) WHERE state = 'queued';

-- What a broadcast said belongs to the history of its conversation.
CREATE INDEX outbox_broadcast ON outbox (conversation, id) WHERE class = 'broadcast';
