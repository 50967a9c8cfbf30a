-- Timers: events to come. `timer` is the whole of it as JSON; the columns are what is looked for and what moves on.

CREATE TABLE timer (
    name text PRIMARY KEY,
    person text NOT NULL,
    task text NOT NULL,
    timer text NOT NULL,
    at double precision NOT NULL,       -- the next fire by its rule
    ready_at double precision,          -- the same with its jitter; NULL: paused
    fired integer NOT NULL DEFAULT 0,
    missed integer NOT NULL DEFAULT 0,
    last_at double precision,
    last_event bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

CREATE INDEX timer_ready ON timer (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX timer_person ON timer (person, at) WHERE person <> '';
CREATE INDEX timer_task ON timer (task, name) WHERE task <> '';
