-- The statements of the timers. Times are epoch seconds on the database's clock.

-- name: time
SELECT moment(:now);

-- name: timers_due
-- Those that are in time before those that are not: a long outage must not delay what is due now.
(SELECT t.timer, t.at, t.fired, t.missed, t.last_at, t.last_event, i.id, t.name FROM timer t
 LEFT JOIN inbox i ON i.id = t.last_event AND i.status = 'waiting'
 WHERE t.ready_at <= moment(:now) AND t.ready_at > moment(:now) - :punctual_for ORDER BY t.ready_at LIMIT :punctual)
UNION ALL
(SELECT t.timer, t.at, t.fired, t.missed, t.last_at, t.last_event, i.id, t.name FROM timer t
 LEFT JOIN inbox i ON i.id = t.last_event AND i.status = 'waiting'
 WHERE t.ready_at <= moment(:now) - :punctual_for ORDER BY t.ready_at LIMIT :overdue);

-- name: next_timer
-- The time, and when the next timer may fire.
SELECT moment(:now), (SELECT ready_at FROM timer WHERE ready_at > moment(:now) ORDER BY ready_at LIMIT 1);

-- name: lock_timers
-- Those that are where they were read, in order of their names; who comes second waits here, and finds none.
SELECT t.name FROM timer t
JOIN unnest(:names::text[], :at::float8[]) AS f (name, at) ON t.name = f.name AND t.at = f.at
WHERE t.ready_at IS NOT NULL ORDER BY t.name FOR UPDATE OF t;

-- name: move_timers
-- `locked` are ours by now.
UPDATE timer t SET at = f.next_at, ready_at = f.ready_at, fired = t.fired + f.fired, missed = t.missed + f.missed,
    last_at = coalesce(f.last_at, t.last_at)
FROM unnest(:names::text[], :next_at::float8[], :ready_at::float8[], :fired::integer[], :missed::integer[],
            :last_at::float8[]) AS f (name, next_at, ready_at, fired, missed, last_at)
WHERE t.name = f.name AND f.next_at IS NOT NULL;

-- name: end_timers
DELETE FROM timer WHERE name = ANY(:names::text[]);

-- name: note_fires
UPDATE timer t SET last_event = f.event FROM unnest(:names::text[], :events::bigint[]) AS f (name, event)
WHERE t.name = f.name;

-- name: set_timers
INSERT INTO timer (name, person, task, timer, at, ready_at)
SELECT name, person, task, timer, at, ready_at
FROM unnest(:names::text[], :people::text[], :tasks::text[], :timers::text[], :at::float8[], :ready_at::float8[])
    AS t (name, person, task, timer, at, ready_at) ORDER BY name
ON CONFLICT (name) DO UPDATE SET person = excluded.person, task = excluded.task, timer = excluded.timer,
    at = excluded.at, ready_at = excluded.ready_at;

-- name: cancel_timers
DELETE FROM timer WHERE name IN (SELECT name FROM timer WHERE name = ANY(:names::text[]) ORDER BY name FOR UPDATE)
RETURNING name;

-- name: pause_timers
UPDATE timer SET ready_at = NULL
WHERE name IN (SELECT name FROM timer WHERE name = ANY(:names::text[]) ORDER BY name FOR UPDATE) RETURNING name;

-- name: put_off_timers
UPDATE timer SET ready_at = moment(:now) + :seconds
WHERE name IN (SELECT name FROM timer WHERE name = ANY(:names::text[]) ORDER BY name FOR UPDATE)
  AND ready_at <= moment(:now);

-- name: timers_of_person
SELECT timer, at FROM timer WHERE person = :person AND person <> '' AND ready_at IS NOT NULL ORDER BY at, name LIMIT :limit;

-- name: timers_of_tasks
SELECT t.timer, t.at, t.fired, t.missed, t.last_at, t.last_event, i.id, t.ready_at IS NULL FROM timer t
LEFT JOIN inbox i ON i.id = t.last_event AND i.status = 'waiting'
WHERE t.task <> '' AND (:task = '' OR t.task = :task) ORDER BY t.task, t.name;

-- name: fires_of
-- The newest events of a timer, and of those that came at once beside it (`NAME!command`).
SELECT id FROM inbox WHERE conversation = :conversation AND kind = 'timer'
AND (starts_with(key, :timer || '@') OR starts_with(key, :timer || '!'))
ORDER BY id DESC LIMIT :limit;
