-- The statements about what is kept of a person, by name.

-- name: last_event
SELECT coalesce(max(id), 0) FROM inbox;

-- name: events_with
SELECT id, CAST(event AS BLOB), accepted_at, receipt, conversation FROM inbox
WHERE id > :after AND id <= :until AND instr(event, :wanted) > 0 ORDER BY id;

-- name: events_like
SELECT id, CAST(event AS BLOB), accepted_at FROM inbox WHERE id > :after AND id <= :until AND instr(lower(event), lower(:wanted)) > 0 ORDER BY id;

-- name: events_in
SELECT id, CAST(event AS BLOB), accepted_at, receipt, conversation FROM inbox WHERE conversation IN (SELECT value FROM json_each(:conversations));

-- name: events_by_number
SELECT id, CAST(event AS BLOB), accepted_at FROM inbox WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id;

-- name: deliveries_to
SELECT id, created_at, state, action, address FROM outbox WHERE inbox IN (SELECT value FROM json_each(:ids)) ORDER BY id;

-- name: broadcasts_to
SELECT id, created_at, state, action, address FROM outbox WHERE conversation IN (SELECT value FROM json_each(:conversations)) AND class = 'broadcast'
ORDER BY id;

-- name: remembered_of
SELECT person, key, value FROM memory WHERE person IN (SELECT value FROM json_each(:people)) ORDER BY person, key;

-- name: named_people
SELECT person FROM memory UNION SELECT person FROM timer WHERE person <> ''
UNION SELECT person FROM recipient WHERE person <> '';

-- name: recipients_of
SELECT broadcast, n, name, address, state FROM recipient
WHERE (person = :person AND person <> '') OR conversation IN (SELECT value FROM json_each(:conversations)) ORDER BY broadcast, n;

-- name: journal_of
SELECT name, result FROM once WHERE turn IN (SELECT value FROM json_each(:turns)) ORDER BY turn, name;

-- name: timers_for
SELECT timer FROM timer WHERE person = :person AND person <> '' ORDER BY at;

-- name: states_of
SELECT id, state FROM conversation WHERE id IN (SELECT value FROM json_each(:conversations)) ORDER BY id;

-- name: payloads_after
SELECT id, raw FROM parked WHERE id > :after AND account = :account ORDER BY id LIMIT :limit;

-- name: payloads_by_number
SELECT raw FROM parked WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id;

-- name: kept_from
SELECT name, value FROM kept WHERE name > :first AND name < :end ORDER BY name LIMIT :limit;

-- name: waiting_events_of
-- Those of some events that wait for a turn.
SELECT id, conversation FROM inbox WHERE id IN (SELECT value FROM json_each(:ids)) AND status = 'waiting';

-- name: blank_events
UPDATE inbox SET event = :blank, conversation = :erased, status = 'done', reason = 'erased', handler = ''
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: open_deliveries_to
SELECT id, conversation FROM outbox WHERE state IN ('pending', 'sending')
  AND (inbox IN (SELECT value FROM json_each(:ids)) OR conversation IN (SELECT value FROM json_each(:conversations)));

-- name: blank_deliveries
UPDATE outbox SET action = :action, address = :address, conversation = :erased, ids = '[]', reason = 'erased',
    state = 'sent', settled_at = coalesce(settled_at, :now), ready_at = NULL
WHERE inbox IN (SELECT value FROM json_each(:ids)) OR (conversation IN (SELECT value FROM json_each(:conversations)) AND class = 'broadcast')
   OR (conversation IN (SELECT value FROM json_each(:conversations)) AND state IN ('pending', 'sending'));

-- name: blank_receipts
UPDATE receipt SET raw = x'' WHERE id IN (SELECT value FROM json_each(:receipts));

-- name: forget_journal
DELETE FROM once WHERE turn IN (SELECT value FROM json_each(:turns));

-- name: forget_memory
DELETE FROM memory WHERE person IN (SELECT value FROM json_each(:people));

-- name: forget_timers
DELETE FROM timer WHERE person = :person AND person <> '';

-- name: blank_recipients
UPDATE recipient SET person = '', name = '', conversation = :erased, place = :erased || '/' || n, address = :address,
    state = CASE WHEN state IN ('waiting', 'queued') THEN 'skipped' ELSE state END, reason = 'erased'
WHERE (person = :person AND person <> '') OR conversation IN (SELECT value FROM json_each(:conversations));

-- name: set_state
UPDATE conversation SET state = :state WHERE id = :conversation;

-- name: forget_payloads
DELETE FROM parked WHERE id IN (SELECT value FROM json_each(:ids));

-- name: forget_kept
DELETE FROM kept WHERE name IN (SELECT value FROM json_each(:names));

-- name: recount
-- A turn that is under way has lost its claim: what it wants is not kept.
UPDATE conversation SET fence = fence + 1, because = '', started = 0, errors = 0,
    pending = (SELECT count(*) FROM inbox WHERE conversation = :conversation AND status = 'waiting'),
    head = coalesce((SELECT min(id) FROM inbox WHERE conversation = :conversation AND status = 'waiting'), head),
    ready_at = (SELECT :now FROM inbox WHERE conversation = :conversation AND status = 'waiting' LIMIT 1)
WHERE id = :conversation;
