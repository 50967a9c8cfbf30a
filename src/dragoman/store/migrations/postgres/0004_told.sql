-- What was told: what people wrote, and what the bot said once it was sent. Numbers are taken before the commit, so who
-- follows the line reads up to the number below which no transaction is open any more (`told_last`, `told_writers`).

CREATE TABLE told (
    id bigserial PRIMARY KEY,
    at double precision NOT NULL,
    inbox bigint,                       -- one of the two
    outbox bigint
);
