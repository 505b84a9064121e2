-- due: until when a node sleeps, as it was when it first asked; woke_at says that this is over
insert into interlock.sleeps (sleep_id, thread_id, run_id, place, checkpoint_id, until, woke_at)
select %(sleep_id)s, %(thread_id)s, %(run_id)s, %(place)s, %(checkpoint_id)s, n.until, case when n.until <= n.at then n.at end
from (
    select c.at, coalesce(%(until)s::timestamptz, c.at + make_interval(secs => %(seconds)s::float8)) as until
    from (select interlock.clock() as at) as c
) as n
on conflict (sleep_id) do update
set woke_at = coalesce(interlock.sleeps.woke_at, case when interlock.sleeps.until <= interlock.clock() then interlock.clock() end)
returning until, woke_at;

-- replayed: the same on a replay, which goes on as often at a place as the threads did that it replays
insert into interlock.sleeps (sleep_id, thread_id, run_id, place, checkpoint_id, until, woke_at)
select %(sleep_id)s, %(thread_id)s, %(run_id)s, %(place)s, %(checkpoint_id)s, coalesce(past.until, interlock.clock()),
    case when past.woken > own.before then interlock.clock() end
from (
    select count(s.woke_at) as woken, max(s.until) as until from interlock.sleeps s
    join unnest(%(threads)s::text[], %(since)s::text[], %(upto)s::text[]) as p (thread_id, since, upto) on s.thread_id = p.thread_id
    where s.place = %(place)s and s.checkpoint_id >= p.since and (p.upto = '' or s.checkpoint_id < p.upto)
) as past, (
    select count(*) as before from interlock.sleeps s where s.thread_id = %(thread_id)s and s.place = %(place)s
) as own
on conflict (sleep_id) do update set woke_at = interlock.sleeps.woke_at
returning until, woke_at;
