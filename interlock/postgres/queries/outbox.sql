-- address: let each target be told of what it was not told of yet; of an open question only the last of each kind
insert into interlock.notifications (event_id, target, name)
select e.id, t.target, t.name
from interlock.question_events e
join interlock.questions q on q.question_id = e.question_id
cross join unnest(%(targets)s::text[], %(names)s::text[]) as t (target, name)
where (
        (q.status = 'open' and e.kind in ('asked', 'reminded', 'escalated') and not exists (
            select from interlock.question_events later
            where later.question_id = e.question_id and later.id > e.id and later.kind = e.kind
        ))
        or (e.kind in ('answered', 'expired') and e.happened_at > now() - interval '7 days')
    )
    and not exists (select from interlock.notifications n where n.event_id = e.id and n.target = t.target)
order by e.id
on conflict (event_id, target) do nothing;

-- outdate: what tells of an open question is not sent once that is closed
update interlock.notifications n set status = 'outdated'
from interlock.question_events e join interlock.questions q on q.question_id = e.question_id
where e.id = n.event_id and n.status = 'waiting' and n.due_at <= now() and q.status <> 'open'
    and e.kind in ('asked', 'reminded', 'escalated');

-- claim: take what is due for as long as sending may take; should the sender die, it is due again
with due as (
    select id from interlock.notifications
    where status = 'waiting' and due_at <= now() and target = any(%(targets)s::text[])
    order by due_at, id limit %(limit)s for update skip locked
), claimed as (
    update interlock.notifications n
    set tries = n.tries + 1, due_at = now() + make_interval(secs => %(lease)s::float8)
    from due where n.id = due.id
    returning n.id, n.event_id, n.target, n.tries
)
select q.*, coalesce(q.deadline <= now(), false) as expired, c.id as notification, c.target, c.tries, e.kind as event, e.who, e.happened_at,
    e.detail
from claimed c
join interlock.question_events e on e.id = c.event_id
join interlock.questions q on q.question_id = e.question_id
order by c.id;

-- sent: a target has taken it
update interlock.notifications set status = 'sent', error = '', sent_at = now()
where id = %(id)s and status = 'waiting' and tries = %(tries)s
returning id;

-- not_sent: try again later, or give up after the last try
update interlock.notifications
set status = case when tries >= %(most)s then 'failed' else 'waiting' end, error = %(error)s,
    due_at = now() + make_interval(secs => %(pause)s::float8)
where id = %(id)s and status = 'waiting' and tries = %(tries)s
returning status;

-- notifications: what was told or is to be told, newest first
select n.id, e.question_id, e.kind as event, n.name as target, n.status, n.tries, n.error, n.due_at, n.sent_at
from interlock.notifications n join interlock.question_events e on e.id = n.event_id
where %(status)s::text is null or n.status = %(status)s
order by n.id desc limit %(limit)s;

-- count_failed: how many were given up
select count(*)::int as failed from interlock.notifications where status = 'failed';

-- try_again: let what was given up be due at once
update interlock.notifications set status = 'waiting', tries = 0, due_at = now() where status = 'failed';
