-- The statements about what is kept of a person, by name.

-- name: last_event
SELECT coalesce(max(id), 0) FROM inbox;

-- name: events_with
SELECT id, event, accepted_at, receipt, conversation FROM inbox
WHERE id > :after AND id <= :until AND position(:wanted IN event) > 0 ORDER BY id;

-- name: events_like
SELECT id, event, accepted_at FROM inbox WHERE id > :after AND id <= :until AND position(lower(:wanted) IN lower(event)) > 0 ORDER BY id;

-- name: events_in
SELECT id, event, accepted_at, receipt, conversation FROM inbox WHERE conversation = ANY(:conversations::text[]);

-- name: events_by_number
SELECT id, event, accepted_at FROM inbox WHERE id = ANY(:ids::bigint[]) ORDER BY id;

-- name: deliveries_to
SELECT id, created_at, state, action, address FROM outbox WHERE inbox = ANY(:ids::bigint[]) ORDER BY id;

-- name: broadcasts_to
SELECT id, created_at, state, action, address FROM outbox WHERE conversation = ANY(:conversations::text[]) AND class = 'broadcast'
ORDER BY id;

-- name: remembered_of
SELECT person, key, value FROM memory WHERE person = ANY(:people::text[]) ORDER BY person, key;

-- name: named_people
SELECT person FROM memory UNION SELECT person FROM timer WHERE person <> ''
UNION SELECT person FROM recipient WHERE person <> '';

-- name: recipients_of
SELECT broadcast, n, name, address, state FROM recipient
WHERE (person = :person AND person <> '') OR conversation = ANY(:conversations::text[]) ORDER BY broadcast, n;

-- name: journal_of
SELECT name, result FROM once WHERE turn = ANY(:turns::text[]) ORDER BY turn, name;

-- name: timers_for
SELECT timer FROM timer WHERE person = :person AND person <> '' ORDER BY at;

-- name: states_of
SELECT id, state FROM conversation WHERE id = ANY(:conversations::text[]) ORDER BY id;

-- name: payloads_after
SELECT id, raw FROM parked WHERE id > :after AND account = :account ORDER BY id LIMIT :limit;

-- name: payloads_by_number
SELECT raw FROM parked WHERE id = ANY(:ids::bigint[]) ORDER BY id;

-- name: kept_from
SELECT name, value FROM kept WHERE name > :first AND name < :end ORDER BY name LIMIT :limit;

-- name: waiting_events_of
-- Those of some events that wait for a turn.
SELECT id, conversation FROM inbox WHERE id = ANY(:ids::bigint[]) AND status = 'waiting';

-- name: blank_events
UPDATE inbox SET event = :blank, conversation = :erased, status = 'done', reason = 'erased', handler = ''
WHERE id = ANY(:ids::bigint[]);

-- name: open_deliveries_to
SELECT id, conversation FROM outbox WHERE state IN ('pending', 'sending')
  AND (inbox = ANY(:ids::bigint[]) OR conversation = ANY(:conversations::text[]));

-- name: blank_deliveries
UPDATE outbox SET action = :action, address = :address, conversation = :erased, ids = '[]', reason = 'erased',
    state = 'sent', settled_at = coalesce(settled_at, moment(:now)), taker = '', until = NULL
WHERE inbox = ANY(:ids::bigint[]) OR (conversation = ANY(:conversations::text[]) AND class = 'broadcast')
   OR (conversation = ANY(:conversations::text[]) AND state IN ('pending', 'sending'));

-- name: blank_receipts
UPDATE receipt SET raw = '' WHERE id = ANY(:receipts::bigint[]);

-- name: forget_journal
DELETE FROM once WHERE turn = ANY(:turns::text[]);

-- name: forget_memory
DELETE FROM memory WHERE person = ANY(:people::text[]);

-- name: forget_timers
DELETE FROM timer WHERE person = :person AND person <> '';

-- name: blank_recipients
UPDATE recipient SET person = '', name = '', conversation = :erased, place = :erased || '/' || n, address = :address,
    state = CASE WHEN state IN ('waiting', 'queued') THEN 'skipped' ELSE state END, reason = 'erased'
WHERE (person = :person AND person <> '') OR conversation = ANY(:conversations::text[]);

-- name: set_state
UPDATE conversation SET state = :state WHERE id = :conversation;

-- name: forget_payloads
DELETE FROM parked WHERE id = ANY(:ids::bigint[]);

-- name: forget_kept
DELETE FROM kept WHERE name = ANY(:names::text[]);

-- name: moment_now
SELECT moment(:now);
