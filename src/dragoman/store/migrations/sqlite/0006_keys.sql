-- The keys by indexes that grow at their end: what is written at random, each message writes to a page of its own.
-- From here on no statement names the constraints by which a key was there once until now; the next migration takes
-- them away, under a release that knows this one.

-- A key's last part is mostly what grows in it (a platform's time or number), and what comes before is the place.
CREATE UNIQUE INDEX inbox_key ON inbox
    (substr(key, length(rtrim(key, replace(key, '/', ''))) + 1), account, kind, key);

-- A key begins with the id of its turn; what answers nothing (broadcasts) has 0 for it.
CREATE UNIQUE INDEX outbox_key ON outbox (inbox, key);
