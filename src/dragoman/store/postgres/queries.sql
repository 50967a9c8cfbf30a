-- The statements of the PostgreSQL store, by name. `:now` is NULL outside tests: then the database's clock counts.

-- name: lock_conversations
-- In key order, so that two replicas never wait for each other in a circle.
SELECT id, pending FROM conversation WHERE id = ANY(:conversations::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: add_conversations
-- A fence begins where none of a row that was deleted has been: who had claimed that can commit nothing here.
INSERT INTO conversation (id, account, fence)
SELECT id, account, (moment(:now) * 1000)::bigint FROM unnest(:conversations::text[], :accounts::text[]) AS new (id, account) ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: accept
-- Every event once: rows come back for the new ones only. A receipt is kept if it brought one of them.
WITH given AS (
    SELECT * FROM unnest(:accounts::text[], :kinds::text[], :keys::text[], :conversations::text[], :events::text[],
                         :wanted::boolean[], :receipts::integer[], :received::float8[], :authenticated::float8[],
                         :parsed::float8[])
        WITH ORDINALITY AS t (account, kind, key, conversation, event, wanted, receipt,
                              received_at, authenticated_at, parsed_at, n)
), numbered AS (
    SELECT n, raw, nextval('receipt_id_seq') AS id FROM unnest(:raws::bytea[]) WITH ORDINALITY AS r (raw, n)
), added AS (
    INSERT INTO inbox (account, kind, key, conversation, receipt, event, status,
                       received_at, authenticated_at, parsed_at, accepted_at)
    SELECT g.account, g.kind, g.key, g.conversation, r.id, g.event, CASE WHEN g.wanted THEN 'waiting' ELSE 'done' END,
           g.received_at, g.authenticated_at, g.parsed_at, moment(:now)
    FROM given g JOIN numbered r ON r.n = g.receipt ORDER BY g.n
    ON CONFLICT (account, kind, key) DO NOTHING
    RETURNING id, account, kind, key, conversation, receipt, status
), kept AS (
    INSERT INTO receipt (id, account, at, raw)
    SELECT r.id, min(a.account), moment(:now), r.raw FROM numbered r JOIN added a ON a.receipt = r.id GROUP BY r.id, r.raw
), woken AS (
    UPDATE conversation c SET
        head = CASE WHEN c.pending = 0 THEN new.first ELSE c.head END,
        pending = c.pending + new.many,
        ready_at = coalesce(c.ready_at, moment(:now))
    FROM (SELECT conversation, count(*) AS many, min(id) AS first FROM added WHERE status = 'waiting' GROUP BY conversation)
        AS new
    WHERE c.id = new.conversation
), heard AS (
    INSERT INTO told (at, inbox) SELECT moment(:now), id FROM added ORDER BY id
)
SELECT id, account, kind, key FROM added;

-- name: accept_at_once
-- The same with the lock before it, if all conversations are there and have room; `fit` says so, else nothing is done.
-- The numbers are taken below the lock: what is added waits for `fit`, which waits for every row.
WITH locked AS (
    SELECT id, pending FROM conversation WHERE id = ANY(:lanes::text[]) ORDER BY id FOR NO KEY UPDATE
), room AS (
    SELECT count(*) = cardinality(:lanes::text[]) AND coalesce(bool_and(l.pending + t.many <= :most), true) AS fit
    FROM locked l JOIN unnest(:lanes::text[], :many::integer[]) AS t (id, many) ON t.id = l.id
), given AS (
    SELECT * FROM unnest(:accounts::text[], :kinds::text[], :keys::text[], :conversations::text[], :events::text[],
                         :wanted::boolean[], :receipts::integer[], :received::float8[], :authenticated::float8[],
                         :parsed::float8[])
        WITH ORDINALITY AS t (account, kind, key, conversation, event, wanted, receipt,
                              received_at, authenticated_at, parsed_at, n)
), numbered AS (
    SELECT n, raw, nextval('receipt_id_seq') AS id FROM unnest(:raws::bytea[]) WITH ORDINALITY AS r (raw, n)
), added AS (
    INSERT INTO inbox (account, kind, key, conversation, receipt, event, status,
                       received_at, authenticated_at, parsed_at, accepted_at)
    SELECT g.account, g.kind, g.key, g.conversation, r.id, g.event, CASE WHEN g.wanted THEN 'waiting' ELSE 'done' END,
           g.received_at, g.authenticated_at, g.parsed_at, moment(:now)
    FROM given g JOIN numbered r ON r.n = g.receipt CROSS JOIN room WHERE room.fit ORDER BY g.n
    ON CONFLICT (account, kind, key) DO NOTHING
    RETURNING id, account, kind, key, conversation, receipt, status
), kept AS (
    INSERT INTO receipt (id, account, at, raw)
    SELECT r.id, min(a.account), moment(:now), r.raw FROM numbered r JOIN added a ON a.receipt = r.id GROUP BY r.id, r.raw
), woken AS (
    UPDATE conversation c SET
        head = CASE WHEN c.pending = 0 THEN new.first ELSE c.head END,
        pending = c.pending + new.many,
        ready_at = coalesce(c.ready_at, moment(:now))
    FROM (SELECT conversation, count(*) AS many, min(id) AS first FROM added WHERE status = 'waiting' GROUP BY conversation)
        AS new
    WHERE c.id = new.conversation
), heard AS (
    INSERT INTO told (at, inbox) SELECT moment(:now), id FROM added ORDER BY id
)
SELECT room.fit, id, account, kind, key FROM room LEFT JOIN added ON true;

-- name: unqueue
-- Events of conversations that have too much waiting leave the queue again; the rows are locked already.
UPDATE conversation c SET pending = c.pending - surplus.many
FROM (SELECT conversation, count(*) AS many FROM inbox WHERE id = ANY(:ids::bigint[]) GROUP BY conversation) AS surplus
WHERE c.id = surplus.conversation;

-- name: park_events
UPDATE inbox SET status = 'parked', reason = :reason WHERE id = ANY(:ids::bigint[]);

-- name: refuse_events
-- Their receipts go with them, unless they brought one of those that stay.
WITH refused AS (
    DELETE FROM inbox WHERE id = ANY(:ids::bigint[]) RETURNING receipt
)
DELETE FROM receipt r USING refused WHERE r.id = refused.receipt
  AND NOT EXISTS (SELECT FROM inbox i WHERE i.id = ANY(:staying::bigint[]) AND i.receipt = r.id);

-- name: at_rest
SELECT pending, state FROM conversation WHERE id = :conversation;

-- name: note_duplicates
WITH again AS (
    SELECT i.id FROM inbox i
    JOIN unnest(:accounts::text[], :kinds::text[], :keys::text[]) AS t (account, kind, key)
        ON i.account = t.account AND i.kind = t.kind AND i.key = t.key
    ORDER BY i.id FOR NO KEY UPDATE OF i
)
UPDATE inbox SET duplicates = duplicates + 1 FROM again WHERE inbox.id = again.id
RETURNING inbox.id, account, kind, key;

-- name: claim
-- Conversations with something to do, and before them one whose head was in flight at two crashes, if one is asked for:
-- a process runs one such at a time, so that a message that kills it is never charged to its neighbours.
WITH suspect AS (
    SELECT id, ready_at FROM conversation WHERE :suspects::boolean AND ready_at <= moment(:now) AND started >= 2
    ORDER BY ready_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
), others AS (
    SELECT id, ready_at FROM conversation WHERE ready_at <= moment(:now) AND started < 2
    ORDER BY ready_at LIMIT :limit - (SELECT count(*) FROM suspect) FOR NO KEY UPDATE SKIP LOCKED
), ready AS (
    SELECT * FROM suspect UNION ALL SELECT * FROM others
)
UPDATE conversation c SET ready_at = moment(:now) + :lease, because = 'leased', owner = :owner,
    fence = fence + 1, started = started + 1
FROM ready WHERE c.id = ready.id
RETURNING c.id, c.state, c.fence, c.started - 1, c.errors, c.head, moment(:now) - ready.ready_at;

-- name: head_events
-- Asked after the claim, by a statement of its own: its snapshot sees all that the claimed rows promise.
SELECT c.id AS conversation, e.id, e.event, e.received_at, e.reason
FROM unnest(:conversations::text[], :heads::bigint[]) AS c (id, head)
CROSS JOIN LATERAL (
    SELECT id, event, received_at, reason FROM inbox
    WHERE conversation = c.id AND inbox.id >= c.head AND status = 'waiting' ORDER BY inbox.id LIMIT 1
) AS e;

-- name: lock_claim
SELECT head FROM conversation WHERE id = :conversation AND fence = :fence FOR NO KEY UPDATE;

-- name: bring_up_heads
-- Under the rows' locks, by a statement of its own: an event that is being put back lowers the head after us.
UPDATE conversation c SET head = coalesce((
    SELECT i.id FROM inbox i WHERE i.conversation = c.id AND i.id >= c.head AND i.status = 'waiting'
    ORDER BY i.id LIMIT 1), c.head)
WHERE c.id = ANY(:conversations::text[]);

-- name: settle_pending
-- Nothing was found to do: count again, under the row's lock.
UPDATE conversation c SET pending = w.many, head = coalesce(w.first, head), because = '', owner = '',
    started = 0, errors = 0, fence = fence + 1, ready_at = CASE WHEN w.many > 0 THEN moment(:now) END
FROM (SELECT count(*) AS many, min(id) AS first FROM inbox WHERE conversation = :conversation AND status = 'waiting') AS w
WHERE c.id = :conversation;

-- name: renew
UPDATE conversation SET ready_at = moment(:now) + :lease
WHERE id = :conversation AND fence = :fence RETURNING 1;

-- name: release
UPDATE conversation SET ready_at = moment(:now), because = '', owner = '', started = started - 1, fence = fence + 1
WHERE id = :conversation AND fence = :fence;

-- name: release_orphans
-- Claims under our name that we do not know of: the answer to a claim was lost on the way. They never began.
UPDATE conversation SET ready_at = moment(:now), because = '', owner = '', started = started - 1, fence = fence + 1
WHERE owner = :owner AND because = 'leased'
  AND NOT EXISTS (SELECT FROM unnest(:conversations::text[], :fences::bigint[]) AS mine (id, fence)
                  WHERE mine.id = conversation.id AND mine.fence = conversation.fence)
RETURNING id;

-- name: commit
-- Everything that a turn wants, or nothing: only turns whose fence still holds are in `mine`. A reply that `rides` is
-- marked as being sent at once, where `take` would take it next: nothing else of its lane waits or is under way.
WITH turn AS (
    SELECT * FROM unnest(:conversations::text[], :fences::bigint[], :events::bigint[], :states::text[],
                         :handlers::text[], :routed::float8[], :responded::float8[])
        AS t (conversation, fence, event, state, handler, routed_at, responded_at)
), mine AS (
    SELECT c.id FROM conversation c JOIN turn ON c.id = turn.conversation AND c.fence = turn.fence
    ORDER BY c.id FOR NO KEY UPDATE OF c
), finished AS (
    UPDATE conversation c SET state = turn.state, pending = c.pending - 1, fence = c.fence + 1,
        head = CASE WHEN c.head < turn.event THEN c.head ELSE turn.event + 1 END,
        because = '', owner = '', started = 0, errors = 0,
        ready_at = CASE WHEN c.pending > 1 THEN moment(:now) END
    FROM turn JOIN mine ON mine.id = turn.conversation
    WHERE c.id = turn.conversation RETURNING c.id, c.pending
), done AS (
    UPDATE inbox i SET status = 'done', handler = turn.handler, fence = turn.fence,
        routed_at = turn.routed_at, responded_at = turn.responded_at
    FROM turn JOIN finished ON finished.id = turn.conversation
    WHERE i.id = turn.event
), given AS (
    SELECT * FROM unnest(:keys::text[], :inboxes::bigint[], :accounts::text[], :lanes::text[], :actions::text[],
                         :addresses::text[], :classes::text[], :holds::float8[], :windows::float8[],
                         :sure_for::float8[], :fresh_for::float8[], :received::float8[],
                         :rides::boolean[])
        WITH ORDINALITY AS t (key, inbox, account, conversation, action, address, class, hold, "window",
                              sure_for, fresh_for, received_at, rides, n)
), lanes AS (
    SELECT l.conversation, l.waiting = 0 AND l.holder IS NULL AS free FROM lane l
    WHERE l.conversation IN (SELECT g.conversation FROM given g JOIN finished ON finished.id = g.conversation)
    ORDER BY l.conversation FOR NO KEY UPDATE
), placed AS (
    SELECT g.*, g.rides AND l.free
        AND g.account <> ALL (ARRAY(SELECT name FROM account WHERE paused_until > moment(:now))) AS rode
    FROM given g JOIN finished ON finished.id = g.conversation LEFT JOIN lanes l ON l.conversation = g.conversation
), said AS (
    INSERT INTO outbox (key, inbox, account, conversation, action, address, class, state, withheld_until,
                        "window", sure_until, not_after, created_at, received_at,
                        fence, attempts, taker, sending_at, until)
    SELECT g.key, g.inbox, g.account, g.conversation, g.action, g.address, g.class,
           CASE WHEN g.rode THEN 'sending' ELSE 'pending' END,
           CASE WHEN g.hold > 0 THEN moment(:now) + g.hold ELSE 0 END,
           g."window", moment(:now) + g.sure_for, moment(:now) + g.fresh_for, moment(:now), g.received_at,
           CASE WHEN g.rode THEN 1 ELSE 0 END, CASE WHEN g.rode THEN 1 ELSE 0 END, CASE WHEN g.rode THEN :owner ELSE '' END,
           CASE WHEN g.rode THEN moment(:now) END, CASE WHEN g.rode THEN moment(:now) + :lease END
    FROM placed g ORDER BY g.n
    ON CONFLICT (key) DO NOTHING
    RETURNING account, conversation, withheld_until, CASE WHEN state = 'sending' THEN id END AS rode
), waiting AS (
    INSERT INTO lane (conversation, account, waiting, ready_at, holder)
    SELECT conversation, min(account), count(*),
        CASE WHEN max(rode) IS NULL THEN greatest(moment(:now), max(withheld_until)) END, max(rode) FROM said
    GROUP BY conversation ORDER BY conversation
    ON CONFLICT (conversation) DO UPDATE SET waiting = lane.waiting + excluded.waiting, account = excluded.account,
        ready_at = CASE WHEN lane.waiting = 0 THEN excluded.ready_at ELSE lane.ready_at END,
        holder = coalesce(excluded.holder, lane.holder)
), remembered AS (
    INSERT INTO memory (person, key, value)
    SELECT DISTINCT ON (m.person, m.key) m.person, m.key, m.value
    FROM unnest(:memory_of::text[], :people::text[], :memory_keys::text[], :memories::text[])
        WITH ORDINALITY AS m (conversation, person, key, value, n)
    JOIN finished ON finished.id = m.conversation ORDER BY m.person, m.key, m.n DESC
    ON CONFLICT (person, key) DO UPDATE SET value = excluded.value
)
SELECT id, pending, s.rode FROM finished
LEFT JOIN (SELECT conversation, max(rode) AS rode FROM said GROUP BY conversation) AS s ON s.conversation = finished.id;

-- name: committed
-- Whether an unanswered commit happened after all: the finished event bears our fence.
SELECT i.conversation, i.fence FROM inbox i
JOIN unnest(:events::bigint[], :fences::bigint[]) AS t (event, fence) ON i.id = t.event AND i.fence = t.fence
WHERE i.status = 'done';

-- name: note_error
UPDATE conversation SET ready_at = moment(:now) + :after, because = :reason, owner = '', fence = fence + 1,
    started = started - 1, errors = errors + 1
WHERE id = :conversation AND fence = :fence RETURNING errors;

-- name: park_event
UPDATE inbox SET status = 'parked', reason = :reason WHERE id = :event;

-- name: skip_head
UPDATE conversation SET pending = pending - 1, fence = fence + 1,
    head = CASE WHEN head < :event THEN head ELSE :event + 1 END, because = '', owner = '', started = 0, errors = 0,
    ready_at = CASE WHEN pending > 1 THEN moment(:now) END
WHERE id = :conversation;

-- name: take
-- The heads of the lanes that may leave. A head that another sender settled since is not 'pending' any more: it is
-- looked at again at once, as is a lane whose next delivery this snapshot does not see yet.
WITH ready AS (
    SELECT l.conversation FROM lane l
    WHERE l.ready_at <= moment(:now) AND l.account <> ALL(:busy::text[])
      AND NOT EXISTS (SELECT FROM account p WHERE p.name = l.account AND p.paused_until > moment(:now))
    ORDER BY l.ready_at LIMIT :limit FOR NO KEY UPDATE OF l SKIP LOCKED
), head AS (
    SELECT r.conversation, o.id, o.withheld_until FROM ready r
    LEFT JOIN LATERAL (
        SELECT id, withheld_until FROM outbox
        WHERE conversation = r.conversation AND state IN ('pending', 'sending') AND state = 'pending'
        ORDER BY id LIMIT 1
    ) AS o ON true
), marked AS (
    UPDATE outbox o SET state = 'sending', fence = o.fence + 1, attempts = o.attempts + 1, taker = :owner,
        sending_at = moment(:now), until = moment(:now) + :lease
    FROM head WHERE o.id = head.id AND o.state = 'pending' AND head.withheld_until <= moment(:now)
    RETURNING o.id, o.key, o.action, o.address, o.conversation, o.class, o.attempts, o.fence,
        o.created_at - moment(:now) AS age, o.received_at, o.not_after - moment(:now) AS left_,
        o.slot - moment(:now) AS slot, o.ids
), held AS (
    UPDATE lane l SET holder = marked.id,
        ready_at = CASE WHEN marked.id IS NULL THEN greatest(coalesce(head.withheld_until, 0), moment(:now) + 0.02) END
    FROM head LEFT JOIN marked ON marked.id = head.id
    WHERE l.conversation = head.conversation
)
SELECT * FROM marked ORDER BY id;

-- name: give_back_orphans
-- Deliveries marked under our name that we do not know of: the answer was lost on the way. Their sending never began.
UPDATE outbox SET state = 'pending', attempts = attempts - 1, fence = fence + 1, taker = ''
WHERE taker = :owner AND state = 'sending' AND id <> ALL(:ids::bigint[])
RETURNING id, conversation, false AS gone, moment(:now) AS at;

-- name: prolong
-- One that is being settled just now is left out: waiting for its row could end in a deadlock with who settles several.
WITH mine AS (
    SELECT id FROM outbox WHERE id = ANY(:ids::bigint[]) AND taker = :owner AND state = 'sending'
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE outbox o SET until = moment(:now) + :lease FROM mine WHERE o.id = mine.id RETURNING o.id;

-- name: lock_lanes
SELECT conversation FROM lane WHERE conversation = ANY(:conversations::text[]) ORDER BY conversation FOR NO KEY UPDATE;

-- name: free_lanes
-- After deliveries were settled, put off or handed back: their lanes go on when the one under way was among them,
-- and no other is (two held requests may each have fetched replies).
WITH freed AS (
    SELECT conversation, count(*) FILTER (WHERE gone) AS gone, array_agg(id) AS ids, max(at) AS at,
        (SELECT max(o.id) FROM outbox o WHERE o.conversation = t.conversation AND o.state = 'sending') AS under_way
    FROM unnest(:ids::bigint[], :conversations::text[], :gone::boolean[], :at::float8[]) AS t (id, conversation, gone, at)
    GROUP BY conversation
)
UPDATE lane l SET waiting = l.waiting - freed.gone,
    holder = freed.under_way,
    ready_at = CASE WHEN freed.under_way IS NOT NULL THEN NULL
                    WHEN l.waiting - freed.gone > 0 THEN freed.at END
FROM freed WHERE l.conversation = freed.conversation;

-- name: settle
-- What `lock_lanes` and `free_lanes` do, around it. A row comes back for each that was still ours; whether its lane has more.
-- The state is no plain comparison, so that the index of those being sent, full of the dead, is not chosen.
WITH locked AS (
    SELECT conversation FROM lane WHERE conversation = ANY(:conversations::text[]) ORDER BY conversation FOR NO KEY UPDATE
), given AS (
    SELECT * FROM unnest(:ids::bigint[], :fences::bigint[], :states::text[], :reasons::text[], :after::float8[],
                         :uncounted::integer[], :moved::text[], :platform_ids::text[], :paced::boolean[])
        AS t (id, fence, state, reason, after, uncounted, moved, platform_ids, paced)
), settled AS (
    UPDATE outbox o SET state = g.state, reason = g.reason, attempts = o.attempts - g.uncounted, taker = '',
        until = NULL, slot = CASE WHEN g.paced THEN moment(:now) + g.after END, address = coalesce(g.moved, o.address),
        ids = coalesce(g.platform_ids, o.ids),
        settled_at = CASE WHEN g.state <> 'pending' THEN moment(:now) END
    FROM given g
    WHERE o.id = g.id AND o.fence = g.fence AND o.state || '' = 'sending' AND (SELECT count(*) FROM locked) >= 0
    RETURNING o.id, o.conversation, g.state <> 'pending' AS gone, moment(:now) + g.after AS at, g.state = 'sent' AS sent
), heard AS (
    INSERT INTO told (at, outbox) SELECT moment(:now), id FROM settled WHERE sent ORDER BY id
), freed AS (
    SELECT conversation, count(*) FILTER (WHERE gone) AS gone, max(at) AS at,
        under_way(conversation, array_agg(id)) AS under_way
    FROM settled GROUP BY conversation
), free AS (
    UPDATE lane l SET waiting = l.waiting - freed.gone,
        holder = freed.under_way,
        ready_at = CASE WHEN freed.under_way IS NOT NULL THEN NULL
                        WHEN l.waiting - freed.gone > 0 THEN freed.at END
    FROM freed WHERE l.conversation = freed.conversation
    RETURNING l.conversation, l.ready_at IS NOT NULL AS more
)
SELECT settled.id, coalesce(free.more, false) FROM settled LEFT JOIN free ON free.conversation = settled.conversation;

-- name: settled_before
-- Whether an unanswered settling happened after all: the row has our fence and is not being sent any more.
SELECT o.id FROM outbox o JOIN unnest(:ids::bigint[], :fences::bigint[]) AS t (id, fence)
    ON o.id = t.id AND o.fence = t.fence
WHERE o.state <> 'sending';

-- name: lane_of
SELECT conversation FROM inbox WHERE id = :inbox;

-- name: take_replies
-- None while one of them is under way: a response would overtake it. Their lane is locked already.
UPDATE outbox o SET state = 'sending', fence = fence + 1, attempts = attempts + 1, taker = :owner,
    sending_at = moment(:now), until = moment(:now) + :lease
WHERE inbox = :inbox AND state = 'pending'
  AND NOT EXISTS (SELECT FROM outbox s WHERE s.inbox = :inbox AND s.state = 'sending')
RETURNING o.id, o.key, o.action, o.address, o.conversation, o.class, o.attempts, o.fence,
    o.created_at - moment(:now) AS age, o.received_at, o.not_after - moment(:now) AS left_,
        o.slot - moment(:now) AS slot, o.ids;

-- name: hold_lane
UPDATE lane SET holder = :holder, ready_at = NULL WHERE conversation = :conversation AND holder IS NULL;

-- name: replies
-- Whatever became of them since (parked, too): a repeat gets the same answer, once all of them are settled.
SELECT o.id, o.key, o.action, o.address, o.conversation, o.class, o.attempts, o.fence,
    o.created_at - moment(:now) AS age, o.received_at, o.not_after - moment(:now) AS left_,
        o.slot - moment(:now) AS slot, o.ids, o.state IN ('pending', 'sending') AS is_open FROM outbox o
WHERE inbox = :inbox ORDER BY id;

-- name: hand_back
UPDATE outbox o SET state = 'pending', attempts = attempts - 1, taker = '', until = NULL
FROM unnest(:ids::bigint[], :fences::bigint[]) AS t (id, fence)
WHERE o.id = t.id AND o.fence = t.fence AND o.state = 'sending'
RETURNING o.id, o.conversation, false AS gone, moment(:now) AS at;

-- name: interrupted
-- After a restart of the server every lease looks old: senders that live settle first.
SELECT id, conversation FROM outbox WHERE state = 'sending' AND until <= moment(:now)
  AND statement_timestamp() > pg_postmaster_start_time() + interval '5 seconds' LIMIT 500;

-- name: resend_interrupted
-- A keyed send is safe inside the platform's window; an unkeyed reply is worth one possible duplicate while it is fresh.
UPDATE outbox SET state = 'pending', fence = fence + 1, taker = '', until = NULL
WHERE id = ANY(:ids::bigint[]) AND state = 'sending' AND until <= moment(:now)
  AND (("window" > 0 AND created_at + "window" > moment(:now)) OR (class = 'reply' AND sure_until > moment(:now)))
RETURNING id, conversation, false AS gone, moment(:now) AS at;

-- name: hold_interrupted
UPDATE outbox SET state = 'parked', fence = fence + 1, taker = '', until = NULL, settled_at = moment(:now),
    reason = 'unsure: the process died while it was being sent; it may have arrived'
WHERE id = ANY(:ids::bigint[]) AND state = 'sending' AND until <= moment(:now)
RETURNING id, conversation, true AS gone, moment(:now) AS at;

-- name: park_unreadable
UPDATE outbox SET state = 'parked', reason = 'this release cannot read it', settled_at = moment(:now), taker = '',
    until = NULL
WHERE id = :id RETURNING id, conversation, true AS gone, moment(:now) AS at;

-- name: redrive_delivery
UPDATE outbox SET state = 'pending', reason = '', attempts = 0, withheld_until = 0, settled_at = NULL,
    sure_until = moment(:now) + 600, not_after = moment(:now) + (not_after - created_at)
WHERE id = :id AND state = 'parked' RETURNING conversation, account, key;

-- name: lengthen_lane
INSERT INTO lane (conversation, account, waiting, ready_at) VALUES (:conversation, :account, 1, moment(:now))
ON CONFLICT (conversation) DO UPDATE SET waiting = lane.waiting + 1,
    ready_at = CASE WHEN lane.holder IS NULL THEN moment(:now) ELSE lane.ready_at END;

-- name: redrive_event
UPDATE inbox SET status = 'waiting', reason = 'redriven' WHERE id = :id AND status = 'parked' RETURNING conversation, account;

-- name: requeue
INSERT INTO conversation (id, account, pending, head, ready_at) VALUES (:conversation, :account, 1, :event, moment(:now))
ON CONFLICT (id) DO UPDATE SET
    head = least(CASE WHEN conversation.pending = 0 THEN excluded.head ELSE conversation.head END, excluded.head),
    pending = conversation.pending + 1, ready_at = coalesce(conversation.ready_at, excluded.ready_at);

-- name: park_payload
INSERT INTO parked (account, at, reason, raw) VALUES (:account, moment(:now), :reason, :raw) RETURNING id;

-- name: payload
SELECT account, raw FROM parked WHERE id = :id;

-- name: drop_payload
DELETE FROM parked WHERE id = :id RETURNING account;

-- name: pause
INSERT INTO account (name, paused_until, reason) VALUES (:account, moment(:now) + :after, :reason)
ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason;

-- name: resume
DELETE FROM account WHERE name = :account;

-- name: begin_once
INSERT INTO once (turn, name, arguments, at) VALUES (:turn, :name, :arguments, moment(:now))
ON CONFLICT DO NOTHING RETURNING 1;

-- name: get_once
SELECT arguments, result FROM once WHERE turn = :turn AND name = :name;

-- name: restart_once
UPDATE once SET arguments = :arguments, result = NULL WHERE turn = :turn AND name = :name;

-- name: finish_once
UPDATE once SET result = :result WHERE turn = :turn AND name = :name;

-- name: get_kept
SELECT value FROM kept WHERE name = :name;

-- name: set_kept
INSERT INTO kept (name, value) SELECT * FROM unnest(:names::text[], :values::text[]) AS t (name, value) ORDER BY name
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: get_memory
SELECT value FROM memory WHERE person = :person AND key = :key;

-- name: take_lease
-- The owner prolongs; another gets it when it was let go, or `grace` seconds after its time. The fence moves with the owner.
INSERT INTO lease (name, owner, fence, until) VALUES (:name, :owner, 1, moment(:now) + :seconds)
ON CONFLICT (name) DO UPDATE SET
    fence = lease.fence + CASE WHEN lease.owner <> excluded.owner OR lease.until = 0 THEN 1 ELSE 0 END,
    owner = excluded.owner, until = excluded.until
WHERE lease.owner = excluded.owner OR lease.until + :grace <= moment(:now) OR lease.until = 0
RETURNING fence;

-- name: drop_lease
UPDATE lease SET until = 0 WHERE name = :name AND owner = :owner;

-- name: lease_owner
SELECT owner FROM lease WHERE name = :name AND until > moment(:now);

-- name: beat
INSERT INTO replica (name, roles, seen_at) VALUES (:name, :roles, moment(:now))
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at;

-- name: leave
DELETE FROM replica WHERE name = :name OR seen_at < moment(:now) - 3600;

-- name: replicas
SELECT name, roles FROM replica WHERE seen_at > moment(:now) - :alive ORDER BY name;

-- name: add_paces
INSERT INTO pace (name, slots) SELECT name, '{}' FROM unnest(:names::text[]) AS new (name) ORDER BY name
ON CONFLICT (name) DO NOTHING;

-- name: reserve
-- One slot for each that is asked for, not before `later` seconds from now and no sooner than `seconds` after the one that
-- is `count` before it; gives the seconds until it. No row comes back where there is no pace yet, or more than `count` were
-- asked for at once. A crash of the server may forget the last slots, so there is no flush to wait for.
WITH asked AS (
    SELECT *, row_number() OVER (PARTITION BY name ORDER BY later, n) AS i
    FROM unnest(:names::text[], :counts::integer[], :seconds::float8[], :later::float8[])
        WITH ORDINALITY AS t (name, count, seconds, later, n)
), bucket AS (
    SELECT name, slots, cardinality(slots) AS size FROM pace WHERE name IN (SELECT name FROM asked)
    ORDER BY name FOR NO KEY UPDATE
), given AS (
    SELECT a.n, a.name, a.i, a.count, greatest(
        moment(:now) + a.later,
        CASE WHEN b.size + a.i > a.count THEN b.slots[b.size + a.i - a.count] + a.seconds ELSE 0 END) AS slot
    FROM asked a JOIN bucket b ON b.name = a.name WHERE a.i <= a.count
), kept AS (
    UPDATE pace p SET slots = (b.slots || g.slots)[greatest(1, b.size + g.many + 1 - g.count):]
    FROM (SELECT name, array_agg(slot ORDER BY i) AS slots, count(*) AS many, min(count) AS count FROM given GROUP BY name) AS g
    JOIN bucket b ON b.name = g.name
    WHERE p.name = g.name
)
SELECT n, slot - moment(:now), set_config('synchronous_commit', 'off', true) FROM given;

-- name: waiting_events
SELECT coalesce(sum(pending), 0) FROM conversation WHERE ready_at IS NOT NULL;

-- name: waiting_deliveries
SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending');

-- name: oldest_waiting
-- Among those that are ready longest: the answer to a long queue must not cost as much as the queue is long.
SELECT moment(:now) - min(e.accepted_at)
FROM (SELECT id, head FROM conversation WHERE ready_at IS NOT NULL ORDER BY ready_at LIMIT 500) AS c
CROSS JOIN LATERAL (SELECT accepted_at FROM inbox WHERE conversation = c.id AND inbox.id >= c.head AND status = 'waiting'
                    ORDER BY inbox.id LIMIT 1) AS e;

-- name: parked_count
SELECT (SELECT count(*) FROM inbox WHERE status = 'parked') + (SELECT count(*) FROM outbox WHERE state = 'parked')
     + (SELECT count(*) FROM parked);

-- name: still_waiting
SELECT id FROM inbox WHERE id = ANY(:ids::bigint[]) AND status = 'waiting';

-- name: event_status
SELECT status FROM inbox WHERE id = :id;

-- name: parked_rows
SELECT 'e' || id AS name, 'event' AS kind, account, conversation, reason, accepted_at AS at FROM inbox
WHERE status = 'parked'
UNION ALL
SELECT 'd' || id, 'delivery', account, conversation, reason, coalesce(settled_at, created_at) FROM outbox
WHERE state = 'parked'
UNION ALL
SELECT 'p' || id, 'payload', account, '', reason, at FROM parked
ORDER BY at DESC LIMIT :limit;

-- name: paused_accounts
SELECT name, reason FROM account WHERE paused_until > moment(:now);

-- name: recent_events
SELECT id, event, accepted_at FROM inbox
WHERE conversation = :conversation AND id < :before AND kind IN ('message', 'command', 'action', 'timer')
ORDER BY id DESC LIMIT :limit;

-- name: recent_changes
SELECT id, event FROM inbox
WHERE conversation = :conversation AND id < :before AND id > :after AND kind IN ('edit', 'delete') ORDER BY id;

-- name: said_to
SELECT inbox, id, action, created_at FROM outbox WHERE inbox = ANY(:inboxes::bigint[]) AND state <> 'parked' ORDER BY id;

-- name: find_event
-- The reason of a message that waits to be tried again is its conversation's.
SELECT i.id, i.account, i.conversation, i.kind, i.key, i.status, coalesce(c.because, i.reason), i.handler, i.duplicates,
       i.received_at, i.authenticated_at, i.parsed_at, i.accepted_at, i.routed_at, i.responded_at FROM inbox i
LEFT JOIN conversation c ON c.id = i.conversation AND c.head = i.id AND i.status = 'waiting'
    AND c.because NOT IN ('', 'leased')
WHERE i.id = :id;

-- name: find_by_key
SELECT id FROM inbox WHERE key = :key ORDER BY id DESC LIMIT 1;

-- name: find_by_message
-- `wanted` is the field as it stands in the event's JSON.
SELECT id FROM inbox WHERE position(:wanted IN event) > 0 ORDER BY id DESC LIMIT 1;

-- name: find_by_delivery
SELECT inbox FROM outbox WHERE id = :id;

-- name: deliveries_of
SELECT id, state, reason, attempts, coalesce(settled_at, sending_at), ids FROM outbox WHERE inbox = :inbox ORDER BY id;

-- name: old_events
SELECT id, conversation, accepted_at FROM inbox WHERE id > :after ORDER BY id LIMIT :limit;

-- name: delete_events
DELETE FROM inbox i WHERE i.id = ANY(:ids::bigint[]) AND i.status <> 'waiting'
  AND NOT EXISTS (SELECT FROM outbox o WHERE o.inbox = i.id AND o.state IN ('pending', 'sending'))
RETURNING i.id;

-- name: delete_replies
DELETE FROM outbox WHERE inbox = ANY(:ids::bigint[]) AND state NOT IN ('pending', 'sending');

-- name: idle_conversations
-- Locked where nobody works on them, so that an event accepted now is not left without its conversation.
SELECT c.id FROM conversation c WHERE c.id = ANY(:conversations::text[]) AND c.pending = 0 AND c.ready_at IS NULL
  AND c.state IN ('{}', '{"v":1,"joined":true}')
ORDER BY c.id FOR UPDATE SKIP LOCKED;

-- name: delete_conversations
DELETE FROM conversation c WHERE c.id = ANY(:conversations::text[])
  AND NOT EXISTS (SELECT FROM inbox i WHERE i.conversation = c.id);

-- name: delete_lanes
DELETE FROM lane WHERE conversation = ANY(:conversations::text[]) AND waiting = 0;

-- name: delete_receipts
DELETE FROM receipt WHERE id IN (SELECT id FROM receipt ORDER BY id LIMIT :limit) AND at < :before RETURNING 1;

-- name: delete_once
DELETE FROM once WHERE (turn, name) IN (SELECT turn, name FROM once WHERE at < :before LIMIT :limit) RETURNING 1;

-- name: delete_payloads
DELETE FROM parked WHERE id IN (SELECT id FROM parked ORDER BY id LIMIT :limit) AND at < :before RETURNING 1;

-- name: delete_paces
DELETE FROM pace WHERE slots[cardinality(slots)] < moment(:now) - 3600;
