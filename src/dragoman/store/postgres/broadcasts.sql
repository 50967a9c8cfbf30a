-- The statements of the PostgreSQL store for broadcasts, by name.

-- name: add_broadcast
INSERT INTO broadcast (mark, name, message, state, start_at, created_at)
VALUES (:mark, :name, :message, 'preparing', :start_at, moment(:now)) RETURNING id;

-- name: broadcast_state
-- Held until the transaction ends, so that nobody pauses or aborts it meanwhile.
SELECT state FROM broadcast WHERE id = :id FOR SHARE;

-- name: preparing_broadcast
SELECT id FROM broadcast WHERE id = :id AND state = 'preparing' FOR NO KEY UPDATE;

-- name: last_recipient
SELECT coalesce(max(n), 0) FROM recipient WHERE broadcast = :broadcast;

-- name: add_recipients
INSERT INTO recipient (broadcast, n, account, conversation, place, address, person, name)
SELECT :broadcast, :last + t.n, t.account, t.conversation, t.place, t.address, t.person, t.name
FROM unnest(:accounts::text[], :conversations::text[], :places::text[], :addresses::text[], :people::text[],
            :names::text[])
    WITH ORDINALITY AS t (account, conversation, place, address, person, name, n) ORDER BY t.n
ON CONFLICT (broadcast, place) DO NOTHING RETURNING n;

-- name: schedule_broadcast
UPDATE broadcast SET state = 'scheduled', start_at = CASE WHEN start_at > 0 THEN start_at ELSE moment(:now) END,
    total = (SELECT count(*) FROM recipient WHERE broadcast = :id),
    accounts = (SELECT coalesce(json_agg(account), '[]')::text FROM
                (SELECT DISTINCT account FROM recipient WHERE broadcast = :id ORDER BY account) AS a)
WHERE id = :id AND state = 'preparing'
RETURNING id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts;

-- name: change_broadcast
-- One that was paused before its time waits for it again.
UPDATE broadcast SET ended_at = CASE WHEN :wanted::text = 'aborted' THEN moment(:now) END,
    state = CASE WHEN :wanted::text = 'running' AND start_at > moment(:now) THEN 'scheduled' ELSE :wanted::text END
WHERE id = :id AND state = ANY(:from_::text[]) RETURNING id;

-- name: miss_broadcasts
UPDATE broadcast SET state = 'missed', ended_at = moment(:now)
WHERE id IN (SELECT id FROM broadcast WHERE state IN ('scheduled', 'running') AND state = 'scheduled')
  AND start_at <= moment(:now) - :late::float8
RETURNING id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts;

-- name: start_broadcasts
UPDATE broadcast SET state = 'running'
WHERE id IN (SELECT id FROM broadcast WHERE state IN ('scheduled', 'running') AND state = 'scheduled')
  AND start_at <= moment(:now);

-- name: active_broadcasts
SELECT id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts FROM broadcast
WHERE state IN ('scheduled', 'running') ORDER BY id;

-- name: outstanding_recipients
SELECT account, count(*) FROM recipient WHERE state = 'queued' GROUP BY account;

-- name: next_recipients
SELECT n, conversation, address, person, name, state, reason FROM recipient
WHERE broadcast = :broadcast AND state = 'waiting' AND account = :account ORDER BY n LIMIT :limit;

-- name: opted_out
SELECT person FROM memory WHERE person = ANY(:people::text[]) AND key = :key AND value = 'true';

-- name: waiting_recipients
-- Those that another replica has not queued since they were read.
SELECT n FROM recipient WHERE broadcast = :broadcast AND n = ANY(:ns::integer[]) AND state = 'waiting'
ORDER BY n FOR NO KEY UPDATE;

-- name: turn_recipients
UPDATE recipient r SET state = t.state, reason = t.reason, chunks = t.chunks
FROM unnest(:ns::integer[], :states::text[], :reasons::text[], :chunks::integer[]) AS t (n, state, reason, chunks)
WHERE r.broadcast = :broadcast AND r.n = t.n RETURNING r.n, r.conversation;

-- name: queue_deliveries
WITH given AS (
    SELECT * FROM unnest(:keys::text[], :accounts::text[], :lanes::text[], :actions::text[], :addresses::text[],
                         :classes::text[], :windows::float8[], :sure_for::float8[], :fresh_for::float8[])
        WITH ORDINALITY AS t (key, account, conversation, action, address, class, "window", sure_for, fresh_for, n)
), said AS (
    INSERT INTO outbox (key, inbox, account, conversation, action, address, class, state, "window", sure_until, not_after,
                        created_at, received_at)
    SELECT key, 0, account, conversation, action, address, class, 'pending', "window", moment(:now) + sure_for,
           moment(:now) + fresh_for, moment(:now), 0
    FROM given ORDER BY n
    ON CONFLICT (key) DO NOTHING
    RETURNING account, conversation
)
INSERT INTO lane (conversation, account, waiting, ready_at)
SELECT conversation, min(account), count(*), moment(:now) FROM said GROUP BY conversation ORDER BY conversation
ON CONFLICT (conversation) DO UPDATE SET waiting = lane.waiting + excluded.waiting, account = excluded.account,
    ready_at = CASE WHEN lane.waiting = 0 THEN excluded.ready_at ELSE lane.ready_at END;

-- name: queued_recipients
-- Those that another replica looks at just now are left to it.
SELECT r.broadcast, b.mark, r.n, r.chunks FROM recipient r JOIN broadcast b ON b.id = r.broadcast
WHERE r.state = 'queued' ORDER BY r.broadcast, r.n LIMIT :limit FOR NO KEY UPDATE OF r SKIP LOCKED;

-- name: queued_of_broadcast
SELECT r.broadcast, b.mark, r.n, r.chunks FROM recipient r JOIN broadcast b ON b.id = r.broadcast
WHERE r.state = 'queued' AND r.broadcast = :broadcast ORDER BY r.n FOR NO KEY UPDATE OF r;

-- name: deliveries_by_key
SELECT key, id, state, reason, attempts, conversation FROM outbox WHERE key = ANY(:keys::text[]);

-- name: end_recipients
UPDATE recipient r SET state = t.state, reason = t.reason
FROM unnest(:broadcasts::bigint[], :ns::integer[], :states::text[], :reasons::text[]) AS t (broadcast, n, state, reason)
WHERE r.broadcast = t.broadcast AND r.n = t.n AND r.state = 'queued' RETURNING r.state;

-- name: withdraw_recipients
UPDATE recipient SET state = 'waiting', chunks = 0
WHERE broadcast = :broadcast AND n = ANY(:ns::integer[]) AND state = 'queued';

-- name: withdraw_deliveries
DELETE FROM outbox WHERE id = ANY(:ids::bigint[]) AND state = 'pending' AND attempts = 0
RETURNING id, conversation, true AS gone, moment(:now) AS at;

-- name: requeue_recipient
UPDATE recipient SET state = 'queued', reason = ''
WHERE broadcast = :broadcast AND n = :n AND state IN ('failed', 'unknown');

-- name: finish_broadcasts
UPDATE broadcast SET state = 'done', ended_at = moment(:now)
WHERE id IN (SELECT id FROM broadcast WHERE state IN ('scheduled', 'running') AND state = 'running')
  AND NOT EXISTS (SELECT 1 FROM recipient WHERE recipient.broadcast = broadcast.id AND state IN ('waiting', 'queued'))
RETURNING id;

-- name: find_broadcast
SELECT id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts FROM broadcast
WHERE id = :id;

-- name: newest_broadcasts
SELECT id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts FROM broadcast
ORDER BY id DESC LIMIT :limit;

-- name: count_recipients
SELECT state, count(*) FROM recipient WHERE broadcast = :broadcast GROUP BY state;

-- name: list_recipients
SELECT r.n, r.conversation, r.address, r.person, r.name, r.state, r.reason, b.mark, r.chunks
FROM recipient r JOIN broadcast b ON b.id = r.broadcast
WHERE r.broadcast = :broadcast AND r.n > :after AND r.state = ANY(:states::text[])
ORDER BY r.n LIMIT :limit;

-- name: broadcast_to
-- What broadcasts said in a conversation, newest first.
SELECT id, action, created_at FROM outbox
WHERE conversation = :conversation AND class = 'broadcast' AND inbox = 0 AND state <> 'parked' ORDER BY id DESC LIMIT :limit;

-- name: written_events
SELECT id, event, accepted_at FROM inbox
WHERE id < :before AND kind IN ('message', 'command', 'action') ORDER BY id DESC LIMIT :limit;

-- name: old_broadcast
-- One that was left while it was prepared counts from its beginning.
SELECT id, mark FROM broadcast
WHERE coalesce(ended_at, CASE WHEN state = 'preparing' THEN created_at END) < :before::float8
  AND (state = 'preparing' OR EXISTS (SELECT 1 FROM recipient WHERE recipient.broadcast = broadcast.id))
ORDER BY id LIMIT 1;

-- name: fold_broadcast
-- What it said goes; what became of its recipients stays, as numbers.
UPDATE broadcast SET message = '{}', counts = CASE WHEN counts = '' THEN :counts::text ELSE counts END,
    state = CASE WHEN state = 'preparing' THEN 'aborted' ELSE state END, ended_at = coalesce(ended_at, created_at)
WHERE id = :id;

-- name: first_recipients
SELECT broadcast, :mark::text, n, chunks FROM recipient WHERE broadcast = :broadcast ORDER BY n LIMIT :limit;

-- name: delete_deliveries
DELETE FROM outbox WHERE key = ANY(:keys::text[]) AND state NOT IN ('pending', 'sending');

-- name: delete_recipients
DELETE FROM recipient WHERE broadcast = :broadcast AND n <= :last;
