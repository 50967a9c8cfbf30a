-- Named leases: who owns what only one may have (a long-lived connection, the refreshing of a token).

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    fence INTEGER NOT NULL,
    until REAL NOT NULL                 -- 0: let go
) WITHOUT ROWID;
