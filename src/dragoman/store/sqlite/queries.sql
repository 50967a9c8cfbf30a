-- The statements of the SQLite store, by name. Times are epoch seconds on the store's clock. What the line needs of a
-- body is read as bytes: one that is damaged, and no text any more, is set aside and does not stop the line. Other texts
-- are read as texts; a row with one that is none any more is left out, and then set aside by `damaged`.

-- name: add_receipt
INSERT INTO receipt (account, at, raw) VALUES (:account, :at, :raw);

-- name: drop_receipt
DELETE FROM receipt WHERE id = :id;

-- name: add_event
-- Nothing changes when the happening is known already.
INSERT INTO inbox (account, kind, key, conversation, receipt, event, status,
                   received_at, authenticated_at, parsed_at, accepted_at)
VALUES (:account, :kind, :key, :conversation, :receipt, :event, :status,
        :received_at, :authenticated_at, :parsed_at, :accepted_at)
ON CONFLICT DO NOTHING;

-- name: note_duplicate
-- The key's last part comes first, as in its index.
UPDATE inbox SET duplicates = duplicates + 1
WHERE substr(key, length(rtrim(key, replace(key, '/', ''))) + 1) = substr(:key, length(rtrim(:key, replace(:key, '/', ''))) + 1)
  AND account = :account AND kind = :kind AND key = :key RETURNING id;

-- name: queue
-- Reading a row and writing it costs less than half of an INSERT that may turn into an UPDATE and tells what it wrote.
SELECT pending, fence, CAST(state AS BLOB) FROM conversation WHERE id = :conversation;

-- name: add_conversation
-- A fence begins where none of a row that was deleted has been: who had claimed that can commit nothing here.
INSERT INTO conversation (id, account, pending, head, ready_at, because, started, fence)
VALUES (:conversation, :account, 1, :event, :ready_at, :because, :started, :fence);

-- name: begin_queue
UPDATE conversation SET pending = 1, head = :event, ready_at = :ready_at, because = :because, started = :started,
    fence = :fence
WHERE id = :conversation;

-- name: join_queue
-- What waits has a time already.
UPDATE conversation SET pending = pending + 1, ready_at = coalesce(ready_at, :ready_at) WHERE id = :conversation;

-- name: unqueue
UPDATE conversation SET pending = pending - 1 WHERE id = :conversation;

-- name: refuse_event
DELETE FROM inbox WHERE id = :id;

-- name: at_rest
SELECT pending, CAST(state AS BLOB) FROM conversation WHERE id = :conversation;

-- name: ready
-- Conversations with something to do, with their head event if it is where `head` says; those that crashed twice are
-- left to `suspect`.
SELECT c.id, CAST(c.state AS BLOB), c.fence, c.started, c.errors, c.head, c.ready_at, i.id, CAST(i.event AS BLOB), i.received_at, i.reason = 'redriven'
FROM conversation c LEFT JOIN inbox i ON i.id = c.head AND i.conversation = c.id AND i.status = 'waiting'
WHERE c.ready_at <= :now AND c.started < 2 ORDER BY c.ready_at LIMIT :limit;

-- name: suspect
-- One conversation whose head was in flight at two crashes: it runs while no other such one does,
-- so that a message that kills the process is never charged to its neighbours.
SELECT id, CAST(state AS BLOB), fence, started, errors, head, ready_at, NULL, NULL, NULL, NULL FROM conversation
WHERE ready_at <= :now AND started >= 2
  AND NOT EXISTS (SELECT 1 FROM conversation
                  WHERE ready_at > :now AND started >= 2 AND started >= 3 AND because = 'leased')
ORDER BY ready_at LIMIT 1;

-- name: lease_conversation
UPDATE conversation SET ready_at = :until, because = 'leased', fence = fence + 1, started = started + 1, head = :event
WHERE id = :conversation;

-- name: head_event
SELECT id, CAST(event AS BLOB), received_at, reason = 'redriven' FROM inbox
WHERE conversation = :conversation AND id >= :head AND status = 'waiting' ORDER BY id LIMIT 1;

-- name: nothing_pending
UPDATE conversation SET pending = 0, ready_at = NULL, because = '', started = 0, errors = 0 WHERE id = :conversation;

-- name: renew
UPDATE conversation SET ready_at = :until WHERE id = :conversation AND fence = :fence;

-- name: release
UPDATE conversation SET ready_at = :now, because = '', started = started - 1, fence = fence + 1
WHERE id = :conversation AND fence = :fence;

-- name: finish_turn
-- Without `more` only one behind which nothing waits: to be told how many do would cost as much as to write it.
UPDATE conversation SET state = :state, pending = pending - 1, fence = fence + 1,
    head = CASE WHEN head < :event THEN head ELSE :event + 1 END, because = '', started = 0, errors = 0,
    ready_at = CASE WHEN pending > 1 THEN :now END
WHERE id = :conversation AND fence = :fence AND (:more OR pending = 1);

-- name: finish_event
UPDATE inbox SET status = 'done', handler = :handler, routed_at = :routed_at, responded_at = :responded_at
WHERE id = :event;

-- name: note_error
UPDATE conversation SET ready_at = :until, because = :reason, fence = fence + 1, started = started - 1, errors = errors + 1
WHERE id = :conversation AND fence = :fence RETURNING errors;

-- name: park_event
UPDATE inbox SET status = 'parked', reason = :reason WHERE id = :event;

-- name: skip_head
UPDATE conversation SET pending = pending - 1, fence = fence + 1,
    head = CASE WHEN head < :event THEN head ELSE :event + 1 END, because = '', started = 0, errors = 0,
    ready_at = CASE WHEN pending > 1 THEN :now END
WHERE id = :conversation;

-- name: lane
-- Whether something of a conversation waits to leave or is under way, and whether an account is paused.
SELECT EXISTS (SELECT 1 FROM outbox WHERE conversation = :conversation AND state IN ('pending', 'sending')),
    EXISTS (SELECT 1 FROM account WHERE name = :account AND paused_until > :now);

-- name: lane_is_open
SELECT 1 FROM outbox WHERE conversation = :conversation AND state IN ('pending', 'sending') LIMIT 1;

-- name: add_outgoing
INSERT INTO outbox (key, inbox, account, conversation, action, address, class, state, withheld_until, ready_at,
                    attempts, fence, sending_at, window, sure_until, not_after, created_at, received_at)
VALUES (:key, :inbox, :account, :conversation, :action, :address, :class, :state, :withheld_until, :ready_at,
        :attempts, :attempts, :sending_at, :window, :sure_until, :not_after, :now, :received_at)
ON CONFLICT DO NOTHING;

-- name: set_memory
INSERT INTO memory (person, key, value) VALUES (:person, :key, :value)
ON CONFLICT (person, key) DO UPDATE SET value = excluded.value;

-- name: get_memory
SELECT value FROM memory WHERE person = :person AND key = :key;

-- name: take
-- The first of each lane that is ready, and of no account that is paused or busy (a JSON list), is marked as being sent.
UPDATE outbox SET state = 'sending', fence = fence + 1, attempts = attempts + 1, sending_at = :now, ready_at = :until
WHERE id IN (
    SELECT id FROM outbox
    WHERE ready_at <= :now AND state = 'pending'
      AND account NOT IN (SELECT name FROM account WHERE paused_until > :now)
      AND account NOT IN (SELECT value FROM json_each(:busy))
      AND id = (SELECT min(id) FROM outbox AS lane
                WHERE lane.conversation = outbox.conversation AND lane.state IN ('pending', 'sending'))
    ORDER BY ready_at LIMIT :limit)
RETURNING id, key, CAST(action AS BLOB), CAST(address AS BLOB), conversation, class, attempts, fence, created_at, received_at, not_after, CAST(ids AS BLOB);

-- name: withheld
-- None while one of them is under way: a response would overtake it. As they will be when they are marked.
SELECT id, key, CAST(action AS BLOB), CAST(address AS BLOB), conversation, class, attempts + 1, fence + 1, created_at, received_at, not_after, CAST(ids AS BLOB) FROM outbox
WHERE inbox = :inbox AND state = 'pending'
  AND NOT EXISTS (SELECT 1 FROM outbox WHERE inbox = :inbox AND state = 'sending') ORDER BY id;

-- name: replies
-- Whatever became of them since (parked, too): a repeat gets the same answer, once all of them are settled.
SELECT id, key, CAST(action AS BLOB), CAST(address AS BLOB), conversation, class, attempts, fence, created_at, received_at, not_after, CAST(ids AS BLOB),
    state IN ('pending', 'sending') FROM outbox
WHERE inbox = :inbox ORDER BY id;

-- name: mark_sending
UPDATE outbox SET state = 'sending', fence = fence + 1, attempts = attempts + 1, sending_at = :now, ready_at = :until
WHERE id = :id;

-- name: prolong
-- `ids` is a JSON list: the sends that are still under way.
UPDATE outbox SET ready_at = :until WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'sending' RETURNING id;

-- name: park_unreadable
UPDATE outbox SET state = 'parked', reason = 'this release cannot read it', settled_at = :now, ready_at = NULL
WHERE id = :id;

-- name: delivery_texts
SELECT id, CAST(key AS BLOB), CAST(conversation AS BLOB), CAST(class AS BLOB) FROM outbox
WHERE state IN ('pending', 'sending');

-- name: wake_lanes
-- The first of every lane that stands still may leave: who was before it may be of it no more.
UPDATE outbox SET ready_at = max(:at, withheld_until)
WHERE state = 'pending' AND ready_at IS NULL
  AND id = (SELECT min(id) FROM outbox AS lane
            WHERE lane.conversation = outbox.conversation AND lane.state IN ('pending', 'sending'))
  AND NOT EXISTS (SELECT 1 FROM outbox AS lane WHERE lane.conversation = outbox.conversation
                  AND lane.state IN ('pending', 'sending') AND lane.state = 'sending');

-- name: conversation_names
SELECT CAST(id AS BLOB), head FROM conversation WHERE ready_at IS NOT NULL;

-- name: rest_unreadable
UPDATE conversation SET pending = 0, ready_at = NULL, because = '', started = 0, errors = 0, fence = fence + 1
WHERE id = CAST(:conversation AS TEXT);

-- name: park_orphans
-- Events that no conversation has: there is none of their name, or it has begun anew behind them.
UPDATE inbox SET status = 'parked', reason = 'its conversation cannot be read'
WHERE id >= :head AND status = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM conversation c WHERE c.id = inbox.conversation AND c.pending > 0 AND c.head <= inbox.id)
RETURNING id;

-- name: settle_sent
-- Without `more` only the last of its lane: to ask for the others by a statement of its own costs half as much as this.
UPDATE outbox SET state = 'sent', ids = :ids, settled_at = :now, ready_at = NULL, reason = ''
WHERE id = :id AND fence = :fence AND state = 'sending'
  AND (:more OR NOT EXISTS (SELECT 1 FROM outbox AS lane WHERE lane.conversation = :conversation
                            AND lane.state IN ('pending', 'sending') AND lane.id != :id));

-- name: settle_later
UPDATE outbox SET state = 'pending', ready_at = :until, reason = :reason,
    attempts = attempts - :uncounted, address = coalesce(:address, address)
WHERE id = :id AND fence = :fence AND state = 'sending';

-- name: settle_parked
UPDATE outbox SET state = 'parked', reason = :reason, settled_at = :now, ready_at = NULL
WHERE id = :id AND fence = :fence AND state = 'sending';

-- name: hand_back
UPDATE outbox SET state = 'pending', attempts = attempts - 1, ready_at = max(:now, withheld_until)
WHERE id = :id AND fence = :fence AND state = 'sending';

-- name: wake_lane
-- The first of a conversation's lane may leave, unless one of it is under way.
UPDATE outbox SET ready_at = max(:at, withheld_until)
WHERE id = (SELECT id FROM outbox WHERE conversation = :conversation AND state IN ('pending', 'sending')
            ORDER BY id LIMIT 1)
  AND state = 'pending' AND ready_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM outbox AS lane WHERE lane.conversation = :conversation
                  AND lane.state IN ('pending', 'sending') AND lane.state = 'sending');  -- IN: the index knows it so

-- name: pause
INSERT INTO account (name, paused_until, reason) VALUES (:account, :until, :reason)
ON CONFLICT (name) DO UPDATE SET paused_until = excluded.paused_until, reason = excluded.reason;

-- name: resume
DELETE FROM account WHERE name = :account;

-- name: resend_interrupted
-- A keyed send is safe inside the platform's window; an unkeyed reply is worth one possible duplicate while it is fresh.
UPDATE outbox SET state = 'pending', fence = fence + 1, ready_at = max(:now, withheld_until)
WHERE ready_at <= :now AND state = 'sending'
  AND ((window > 0 AND created_at + window > :now) OR (class = 'reply' AND sure_until > :now)) RETURNING conversation;

-- name: hold_interrupted
UPDATE outbox SET state = 'parked', fence = fence + 1, ready_at = NULL, settled_at = :now,
    reason = 'unsure: the process died while it was being sent; it may have arrived'
WHERE ready_at <= :now AND state = 'sending' RETURNING conversation;

-- name: void_leases
-- Leases belong to the process that took them; opening the file ends them all.
UPDATE conversation SET ready_at = :now, because = '' WHERE ready_at IS NOT NULL AND because = 'leased';

-- name: void_sends
UPDATE outbox SET ready_at = :now WHERE state IN ('pending', 'sending') AND state = 'sending';

-- name: bound_backoff
-- A wall clock that was set back while we were down must not keep anything waiting for days, and what was ready is so.
UPDATE conversation SET ready_at = iif(because = '', :now, :latest) WHERE ready_at > iif(because = '', :now, :latest);

-- name: bound_outbox_backoff
UPDATE outbox SET withheld_until = min(withheld_until, :held),
    ready_at = CASE WHEN withheld_until > 0 THEN min(ready_at, :held) WHEN attempts = 0 THEN :now ELSE :latest END
WHERE ready_at > iif(attempts = 0, :now, :latest) AND state = 'pending';

-- name: bound_pauses
UPDATE account SET paused_until = :latest WHERE paused_until > :latest;

-- name: begin_once
INSERT INTO once (turn, name, arguments, at) VALUES (:turn, :name, :arguments, :now) ON CONFLICT DO NOTHING RETURNING 1;

-- name: get_once
SELECT arguments, result FROM once WHERE turn = :turn AND name = :name;

-- name: restart_once
UPDATE once SET arguments = :arguments, result = NULL WHERE turn = :turn AND name = :name;

-- name: finish_once
UPDATE once SET result = :result WHERE turn = :turn AND name = :name;

-- name: take_lease
-- The owner prolongs; another gets it when it was let go, or `grace` seconds after its time. The fence moves with the owner.
INSERT INTO lease (name, owner, fence, until) VALUES (:name, :owner, 1, :until)
ON CONFLICT (name) DO UPDATE SET
    fence = fence + (owner != excluded.owner OR until = 0), owner = excluded.owner, until = excluded.until
WHERE owner = excluded.owner OR until + :grace <= :now OR until = 0
RETURNING fence;

-- name: drop_lease
UPDATE lease SET until = 0 WHERE name = :name AND owner = :owner;

-- name: void_named_leases
UPDATE lease SET until = 0;

-- name: lease_owner
SELECT owner FROM lease WHERE name = :name AND until > :now;

-- name: get_kept
SELECT value FROM kept WHERE name = :name;

-- name: set_kept
INSERT INTO kept (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: park_payload
INSERT INTO parked (account, at, reason, raw) VALUES (:account, :now, :reason, :raw) RETURNING id;

-- name: payload
SELECT account, raw FROM parked WHERE id = :id;

-- name: drop_payload
DELETE FROM parked WHERE id = :id RETURNING account;

-- name: redrive_event
UPDATE inbox SET status = 'waiting', reason = 'redriven' WHERE id = :id AND status = 'parked' RETURNING conversation, account;

-- name: requeue
INSERT INTO conversation (id, account, pending, head, ready_at) VALUES (:conversation, :account, 1, :event, :now)
ON CONFLICT (id) DO UPDATE SET head = min(CASE WHEN pending = 0 THEN :event ELSE head END, :event),
    pending = pending + 1, ready_at = coalesce(ready_at, :now);

-- name: redrive_delivery
UPDATE outbox SET state = 'pending', reason = '', attempts = 0, withheld_until = 0, settled_at = NULL, ready_at = NULL,
    sure_until = :now + 600, not_after = :now + (not_after - created_at)
WHERE id = :id AND state = 'parked' RETURNING conversation, key;

-- name: still_lane
UPDATE outbox SET ready_at = NULL WHERE conversation = :conversation AND state = 'pending' AND ready_at IS NOT NULL;

-- name: waiting_events
SELECT coalesce(sum(pending), 0) FROM conversation WHERE ready_at IS NOT NULL;

-- name: waiting_deliveries
SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending');

-- name: oldest_waiting
SELECT min((SELECT accepted_at FROM inbox WHERE conversation = conversation.id AND inbox.id >= head AND status = 'waiting'
            ORDER BY inbox.id LIMIT 1))
FROM conversation WHERE ready_at IS NOT NULL;

-- name: parked_count
SELECT (SELECT count(*) FROM inbox WHERE status = 'parked') + (SELECT count(*) FROM outbox WHERE state = 'parked')
     + (SELECT count(*) FROM parked);

-- name: event_status
SELECT status FROM inbox WHERE id = :id;

-- name: parked_rows
SELECT 'e' || id, 'event', CAST(account AS BLOB), CAST(conversation AS BLOB), CAST(reason AS BLOB), accepted_at FROM inbox
WHERE status = 'parked'
UNION ALL
SELECT 'd' || id, 'delivery', CAST(account AS BLOB), CAST(conversation AS BLOB), CAST(reason AS BLOB),
    coalesce(settled_at, created_at) FROM outbox
WHERE state = 'parked'
UNION ALL
SELECT 'p' || id, 'payload', CAST(account AS BLOB), x'', CAST(reason AS BLOB), at FROM parked
ORDER BY 6 DESC LIMIT :limit;

-- name: paused_accounts
SELECT name, reason FROM account WHERE paused_until > :now;

-- name: recent_events
SELECT id, CAST(event AS BLOB), accepted_at FROM inbox
WHERE conversation = :conversation AND id < :before AND kind IN ('message', 'command', 'action', 'timer')
ORDER BY id DESC LIMIT :limit;

-- name: recent_changes
SELECT id, CAST(event AS BLOB) FROM inbox
WHERE conversation = :conversation AND id < :before AND id > :after AND kind IN ('edit', 'delete') ORDER BY id;

-- name: said_to
SELECT id, CAST(action AS BLOB), created_at FROM outbox WHERE inbox = :inbox AND state != 'parked' ORDER BY id;

-- name: find_event
-- The reason of a message that waits to be tried again is its conversation's.
SELECT i.id, i.account, i.conversation, i.kind, i.key, i.status, coalesce(c.because, i.reason), i.handler, i.duplicates,
       i.received_at, i.authenticated_at, i.parsed_at, i.accepted_at, i.routed_at, i.responded_at FROM inbox i
LEFT JOIN conversation c ON c.id = i.conversation AND c.head = i.id AND i.status = 'waiting'
    AND c.because NOT IN ('', 'leased')
WHERE i.id = :id;

-- name: find_by_key
SELECT id FROM inbox
WHERE substr(key, length(rtrim(key, replace(key, '/', ''))) + 1) = substr(:key, length(rtrim(:key, replace(:key, '/', ''))) + 1)
  AND key = :key ORDER BY id DESC LIMIT 1;

-- name: find_by_message
SELECT id FROM inbox WHERE json_extract(event, '$.message_id') = :key ORDER BY id DESC LIMIT 1;

-- name: find_by_delivery
SELECT inbox FROM outbox WHERE id = :id;

-- name: deliveries_of
SELECT id, state, reason, attempts, coalesce(settled_at, sending_at), ids FROM outbox WHERE inbox = :inbox ORDER BY id;

-- name: old_events
SELECT id, CAST(conversation AS BLOB), accepted_at FROM inbox WHERE id > :after ORDER BY id LIMIT :limit;

-- name: delete_event
DELETE FROM inbox WHERE id = :id AND status != 'waiting'
  AND NOT EXISTS (SELECT 1 FROM outbox WHERE inbox = :id AND state IN ('pending', 'sending'));

-- name: delete_replies
DELETE FROM outbox WHERE inbox = :id AND state NOT IN ('pending', 'sending')
  AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.id = :id);

-- name: delete_conversation
DELETE FROM conversation WHERE id = CAST(:conversation AS TEXT) AND pending = 0 AND ready_at IS NULL
  AND state IN ('{}', '{"v":1,"joined":true}')
  AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.conversation = conversation.id);

-- name: delete_receipts
DELETE FROM receipt WHERE id IN (SELECT id FROM receipt ORDER BY id LIMIT :limit) AND at < :before;

-- name: delete_once
DELETE FROM once WHERE (turn, name) IN (SELECT turn, name FROM once WHERE at < :before LIMIT :limit);

-- name: delete_payloads
DELETE FROM parked WHERE id IN (SELECT id FROM parked ORDER BY id LIMIT :limit) AND at < :before;
