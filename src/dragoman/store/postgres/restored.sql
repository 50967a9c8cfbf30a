-- After a restore, by name: nothing that waits is done by itself.

-- name: seen_lately
SELECT name FROM replica WHERE seen_at > moment(NULL) - :alive LIMIT 1;

-- name: hold_deliveries
WITH held AS (
    UPDATE outbox SET state = 'parked', fence = fence + 1, taker = '', until = NULL, settled_at = moment(:now),
        reason = :reason
    WHERE state IN ('pending', 'sending') RETURNING 1
)
SELECT count(*) FROM held;

-- name: hold_lanes
UPDATE lane SET waiting = 0, ready_at = NULL, holder = NULL WHERE waiting > 0 OR holder IS NOT NULL;

-- name: hold_events
WITH held AS (
    UPDATE inbox SET status = 'parked', reason = :reason WHERE status = 'waiting' RETURNING 1
)
SELECT count(*) FROM held;

-- name: hold_conversations
UPDATE conversation SET pending = 0, ready_at = NULL, because = '', owner = '', started = 0, errors = 0,
    fence = fence + 1
WHERE pending > 0 OR ready_at IS NOT NULL;

-- name: hold_broadcasts
WITH held AS (
    UPDATE broadcast SET state = 'paused' WHERE state = 'running' OR (state = 'scheduled' AND start_at <= :until)
    RETURNING 1
)
SELECT count(*) FROM held;

-- name: forget_replicas
DELETE FROM replica;
