-- claim: take what is due for as long as sending may take; should the sender die, it is due again
with due as (
    select id from interlock.webhooks
    where status = 'waiting' and due_at <= clock_timestamp()
    order by due_at, id limit %(limit)s for update skip locked
)
update interlock.webhooks w
set tries = w.tries + 1, due_at = clock_timestamp() + make_interval(secs => %(lease)s::float8)
from due where w.id = due.id
returning w.id, w.run_id, w.ended_by, w.thread_id, w.url, w.ended_as, w.error, w.error_kind, w.ended_at, w.tries,
    (select r.started_at from interlock.runs r where r.run_id = w.run_id) as started_at;

-- sent: somebody has taken it
update interlock.webhooks set status = 'sent', last_error = '', sent_at = clock_timestamp()
where id = %(id)s and status = 'waiting' and tries = %(tries)s;

-- not_sent: try again later, or give up after the last try
update interlock.webhooks
set status = case when tries >= %(most)s then 'failed' else 'waiting' end, last_error = %(error)s,
    due_at = clock_timestamp() + make_interval(secs => %(pause)s::float8)
where id = %(id)s and status = 'waiting' and tries = %(tries)s;

-- next_due: in how many seconds the next is due; none: nothing waits
select extract(epoch from min(due_at) - clock_timestamp())::float8 as seconds from interlock.webhooks where status = 'waiting';

-- forget: remove what was sent or given up long ago
delete from interlock.webhooks where status <> 'waiting' and ended_at < clock_timestamp() - make_interval(secs => %(seconds)s::float8);
