-- The line on PostgreSQL. Times are epoch seconds on the database's own clock.
-- JSON is kept as text: it is read by us only, and jsonb refuses the escape of a NUL.

-- The time to go by: the statement's, on the database's clock, unless a test gives one. Stable, so that indexes serve it.
CREATE FUNCTION moment(given double precision) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(given, extract(epoch FROM statement_timestamp())::double precision);

CREATE TABLE receipt (
    id bigserial PRIMARY KEY,
    account text NOT NULL,
    at double precision NOT NULL,
    raw bytea NOT NULL
);

CREATE TABLE inbox (
    id bigserial PRIMARY KEY,
    account text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    conversation text NOT NULL,
    receipt bigint NOT NULL,
    event text NOT NULL,
    status text NOT NULL,               -- waiting, done, parked
    reason text NOT NULL DEFAULT '',
    handler text NOT NULL DEFAULT '',
    fence bigint NOT NULL DEFAULT 0,    -- of the claim that finished it: tells whether an unanswered commit happened
    duplicates integer NOT NULL DEFAULT 0,
    received_at double precision NOT NULL,
    authenticated_at double precision NOT NULL,
    parsed_at double precision NOT NULL,
    accepted_at double precision NOT NULL,
    routed_at double precision,
    responded_at double precision,
    UNIQUE (account, kind, key)         -- one happening, one row: this is what makes a repeat harmless
) WITH (fillfactor = 80);

-- Ids are taken under the conversation's row lock, so within a conversation they are commit order.
CREATE INDEX inbox_line ON inbox (conversation, id);
CREATE INDEX inbox_parked ON inbox (id) WHERE status = 'parked';

CREATE TABLE conversation (
    id text PRIMARY KEY,
    account text NOT NULL,
    state text NOT NULL DEFAULT '{}',
    pending integer NOT NULL DEFAULT 0,
    head bigint NOT NULL DEFAULT 0,     -- no waiting event of it has a smaller number
    ready_at double precision,          -- NULL: nothing to do
    because text NOT NULL DEFAULT '',   -- leased, error; for people
    owner text NOT NULL DEFAULT '',     -- the replica that has the claim
    fence bigint NOT NULL DEFAULT 0,
    started integer NOT NULL DEFAULT 0, -- attempts at the head event that did not end: crashes, and the running one
    errors integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX conversation_ready ON conversation (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX conversation_suspect ON conversation (ready_at) WHERE started >= 2;
CREATE INDEX conversation_owner ON conversation (owner) WHERE owner <> '';

-- A conversation's deliveries leave one after the other: the lane says when the next one may be taken.
CREATE TABLE lane (
    conversation text PRIMARY KEY,
    account text NOT NULL,
    waiting integer NOT NULL,           -- deliveries that are pending or being sent
    ready_at double precision,          -- NULL: nothing waits, or `holder` is under way
    holder bigint                       -- the delivery that is under way and must be settled first
) WITH (fillfactor = 70);

CREATE INDEX lane_ready ON lane (ready_at) WHERE ready_at IS NOT NULL;

CREATE TABLE outbox (
    id bigserial PRIMARY KEY,
    key text NOT NULL UNIQUE,
    inbox bigint NOT NULL,
    account text NOT NULL,
    conversation text NOT NULL,
    action text NOT NULL,
    address text NOT NULL,
    class text NOT NULL,
    state text NOT NULL,                -- pending, sending, sent, parked
    withheld_until double precision NOT NULL DEFAULT 0, -- a passive reply: the held request fetches it before that
    reason text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    taker text NOT NULL DEFAULT '',     -- the replica that sends it
    until double precision,             -- when its sender counts as interrupted
    slot double precision,              -- reserved by the platform's pace, if it waited for that
    "window" double precision NOT NULL,
    sure_until double precision NOT NULL,
    not_after double precision NOT NULL,
    created_at double precision NOT NULL,
    received_at double precision NOT NULL,
    sending_at double precision,
    settled_at double precision,
    ids text NOT NULL DEFAULT '[]'
) WITH (fillfactor = 80);

CREATE INDEX outbox_lane ON outbox (conversation, id) WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_sending ON outbox (until) WHERE state = 'sending';
CREATE INDEX outbox_turn ON outbox (inbox);
CREATE INDEX outbox_parked ON outbox (id) WHERE state = 'parked';

CREATE TABLE parked (
    id bigserial PRIMARY KEY,
    account text NOT NULL,
    at double precision NOT NULL,
    reason text NOT NULL,
    raw bytea NOT NULL
);

CREATE TABLE account (
    name text PRIMARY KEY,
    paused_until double precision NOT NULL,
    reason text NOT NULL
);

CREATE TABLE once (
    turn text NOT NULL,
    name text NOT NULL,
    arguments text NOT NULL,
    at double precision NOT NULL,
    result text,                        -- NULL: begun, not done
    PRIMARY KEY (turn, name)
);

CREATE INDEX once_age ON once (at);

CREATE TABLE memory (
    person text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (person, key)
);

CREATE TABLE kept (
    name text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE lease (
    name text PRIMARY KEY,
    owner text NOT NULL,
    fence bigint NOT NULL,
    until double precision NOT NULL     -- 0: let go
);

CREATE TABLE replica (
    name text PRIMARY KEY,
    roles text NOT NULL,
    seen_at double precision NOT NULL
);

CREATE TABLE pace (
    name text PRIMARY KEY,
    slots double precision[] NOT NULL   -- the last slots that were reserved, oldest first
);
