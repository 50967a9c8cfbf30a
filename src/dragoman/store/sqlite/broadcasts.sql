-- The statements of the SQLite store for broadcasts, by name.

-- name: add_broadcast
INSERT INTO broadcast (mark, name, message, state, start_at, created_at)
VALUES (:mark, :name, :message, 'preparing', :start_at, :now) RETURNING id;

-- name: broadcast_state
SELECT state FROM broadcast WHERE id = :id;

-- name: last_recipient
SELECT coalesce(max(n), 0) FROM recipient WHERE broadcast = :broadcast;

-- name: add_recipient
INSERT INTO recipient (broadcast, n, account, conversation, place, address, person, name)
VALUES (:broadcast, :n, :account, :conversation, :place, :address, :person, :name)
ON CONFLICT (broadcast, place) DO NOTHING;

-- name: schedule_broadcast
UPDATE broadcast SET state = 'scheduled', start_at = CASE WHEN start_at > 0 THEN start_at ELSE :now END,
    total = (SELECT count(*) FROM recipient WHERE broadcast = :id),
    accounts = (SELECT json_group_array(account) FROM
                (SELECT DISTINCT account FROM recipient WHERE broadcast = :id ORDER BY account))
WHERE id = :id AND state = 'preparing'
RETURNING id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts;

-- name: change_broadcast
-- One that was paused before its time waits for it again.
UPDATE broadcast SET ended_at = CASE WHEN :wanted = 'aborted' THEN :now END,
    state = CASE WHEN :wanted = 'running' AND start_at > :now THEN 'scheduled' ELSE :wanted END
WHERE id = :id AND state IN (SELECT value FROM json_each(:from)) RETURNING id;

-- name: miss_broadcasts
UPDATE broadcast SET state = 'missed', ended_at = :now
WHERE id IN (SELECT id FROM broadcast WHERE state IN ('scheduled', 'running') AND state = 'scheduled')
  AND start_at <= :now - :late
RETURNING id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts;

-- name: start_broadcasts
UPDATE broadcast SET state = 'running'
WHERE id IN (SELECT id FROM broadcast WHERE state IN ('scheduled', 'running') AND state = 'scheduled')
  AND start_at <= :now;

-- name: active_broadcasts
SELECT id, mark, name, message, state, start_at, created_at, ended_at, total, accounts, counts FROM broadcast
WHERE state IN ('scheduled', 'running') ORDER BY id;

-- name: outstanding_recipients
SELECT account, count(*) FROM recipient WHERE state = 'queued' GROUP BY account;

-- name: next_recipients
SELECT n, conversation, address, person, name, state, reason FROM recipient
WHERE broadcast = :broadcast AND state = 'waiting' AND account = :account ORDER BY n LIMIT :limit;

-- name: opted_out
SELECT 1 FROM memory WHERE person IN (SELECT value FROM json_each(:people)) AND key = :key AND value = 'true' LIMIT 1;

-- name: turn_recipient
UPDATE recipient SET state = :state, reason = :reason, chunks = :chunks
WHERE broadcast = :broadcast AND n = :n AND state = 'waiting' RETURNING conversation;

-- name: queued_recipients
SELECT r.broadcast, b.mark, r.n, r.chunks FROM recipient r JOIN broadcast b ON b.id = r.broadcast
WHERE r.state = 'queued' AND (:broadcast = 0 OR r.broadcast = :broadcast) LIMIT :limit;

-- name: deliveries_by_key
SELECT key, id, state, reason, attempts FROM outbox
WHERE inbox = 0 AND key IN (SELECT value FROM json_each(:keys));  -- they answer nothing

-- name: end_recipient
UPDATE recipient SET state = :state, reason = :reason WHERE broadcast = :broadcast AND n = :n AND state = 'queued';

-- name: withdraw_recipient
UPDATE recipient SET state = 'waiting', chunks = 0 WHERE broadcast = :broadcast AND n = :n AND state = 'queued';

-- name: withdraw_delivery
DELETE FROM outbox WHERE id = :id AND state = 'pending' AND attempts = 0 RETURNING conversation;

-- name: requeue_recipient
UPDATE recipient SET state = 'queued', reason = ''
WHERE broadcast = :broadcast AND n = :n AND state IN ('failed', 'unknown');

-- name: finish_broadcasts
UPDATE broadcast SET state = 'done', ended_at = :now
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
WHERE r.broadcast = :broadcast AND r.n > :after AND r.state IN (SELECT value FROM json_each(:states))
ORDER BY r.n LIMIT :limit;

-- name: broadcast_to
-- What broadcasts said in a conversation, newest first.
SELECT id, CAST(action AS BLOB), created_at FROM outbox
WHERE conversation = :conversation AND class = 'broadcast' AND inbox = 0 AND state != 'parked' ORDER BY id DESC LIMIT :limit;

-- name: written_events
SELECT id, event, accepted_at FROM inbox
WHERE id < :before AND kind IN ('message', 'command', 'action') ORDER BY id DESC LIMIT :limit;

-- name: old_broadcast
-- One that was left while it was prepared counts from its beginning.
SELECT id, mark FROM broadcast
WHERE coalesce(ended_at, CASE WHEN state = 'preparing' THEN created_at END) < :before
  AND (state = 'preparing' OR EXISTS (SELECT 1 FROM recipient WHERE recipient.broadcast = broadcast.id))
ORDER BY id LIMIT 1;

-- name: fold_broadcast
-- What it said goes; what became of its recipients stays, as numbers.
UPDATE broadcast SET message = '{}', counts = CASE WHEN counts = '' THEN :counts ELSE counts END,
    state = CASE WHEN state = 'preparing' THEN 'aborted' ELSE state END, ended_at = coalesce(ended_at, created_at)
WHERE id = :id;

-- name: first_recipients
SELECT broadcast, :mark, n, chunks FROM recipient WHERE broadcast = :broadcast ORDER BY n LIMIT :limit;

-- name: delete_deliveries
DELETE FROM outbox WHERE inbox = 0 AND key IN (SELECT value FROM json_each(:keys)) AND state NOT IN ('pending', 'sending');

-- name: delete_recipients
DELETE FROM recipient WHERE broadcast = :broadcast AND n <= :last;
