-- After a restore, by name: nothing that waits is done by itself.

-- name: hold_deliveries
UPDATE outbox SET state = 'parked', fence = fence + 1, ready_at = NULL, settled_at = :now, reason = :reason
WHERE state IN ('pending', 'sending');

-- name: hold_events
UPDATE inbox SET status = 'parked', reason = :reason WHERE status = 'waiting';

-- name: hold_conversations
UPDATE conversation SET pending = 0, ready_at = NULL, because = '', started = 0, errors = 0, fence = fence + 1
WHERE pending > 0 OR ready_at IS NOT NULL;

-- name: hold_broadcasts
UPDATE broadcast SET state = 'paused' WHERE state = 'running' OR (state = 'scheduled' AND start_at <= :until);
