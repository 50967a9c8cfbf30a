-- Timers: events to come. `timer` is the whole of it as JSON; the columns are what is looked for and what moves on.

CREATE TABLE timer (
    name TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    task TEXT NOT NULL,
    timer TEXT NOT NULL,
    at REAL NOT NULL,                   -- the next fire by its rule
    ready_at REAL,                      -- the same with its jitter; NULL: paused
    fired INTEGER NOT NULL DEFAULT 0,
    missed INTEGER NOT NULL DEFAULT 0,
    last_at REAL,
    last_event INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX timer_ready ON timer (ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX timer_person ON timer (person, at) WHERE person <> '';
CREATE INDEX timer_task ON timer (task, name) WHERE task <> '';
