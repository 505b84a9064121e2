-- take: let calls through, or tell how long each has to wait
select * from interlock.rates_take(%(asks)s::jsonb, %(owner)s);

-- settle: note how calls ended
select interlock.rates_settle(%(ends)s::jsonb, %(failures)s, %(of)s, %(within)s, %(open)s);

-- look: the stored limits, and the targets that are not simply in order
select
    (select coalesce(jsonb_agg(l), '[]') from interlock.rate_limits l) as limits,
    array(
        select r.name from interlock.rates r where r.opened_at > 0 or r.not_before > extract(epoch from clock_timestamp())
    ) as loud;

-- store: store a limit in place of the one before
insert into interlock.rate_limits (target, requests, tokens, concurrent, burst, set_by)
values (%(target)s, %(requests)s, %(tokens)s, %(concurrent)s, %(burst)s, %(by)s)
on conflict (target) do update
set requests = excluded.requests, tokens = excluded.tokens, concurrent = excluded.concurrent, burst = excluded.burst,
    set_by = excluded.set_by, set_at = now();

-- names: the targets that were asked
select name from interlock.rates;

-- begin_anew: forget what is owed to limits, and what providers have said; the rows are locked in the order of all others
with locked as materialized (
    select (r).name as name from unnest(interlock.rates_lock(%(names)s::text[])) as r
)
update interlock.rates r set requests_at = 0, tokens_at = 0, requests_line = 0, tokens_line = 0, not_before = 0
from locked where r.name = locked.name;

-- remove: remove a stored limit
delete from interlock.rate_limits where target = %(target)s;

-- standing: how each target stands that was asked, with the calls that are under way and those that wait
select r.*, extract(epoch from clock_timestamp())::double precision as at,
    array(select c.key from interlock.rate_calls c where c.name = r.name) as calls,
    (select count(*) from interlock.rate_waits w where w.name = r.name and w.until > clock_timestamp() - interval '10 s') as waiting
from interlock.rates r order by r.name;

-- waiting: the calls that wait, the oldest first; those of dead processes are left out
select w.* from interlock.rate_waits w
where w.until > clock_timestamp() - interval '10 s'
order by w.since limit 1000;

-- forget_dead: take away what dead processes have left
with gone as (
    select owner from (select owner from interlock.rate_waits union select owner from interlock.rate_calls) as owners
    where not interlock.lives(owner)
), slots as (
    delete from interlock.rate_calls where owner in (select owner from gone)
)
delete from interlock.rate_waits where owner in (select owner from gone);

-- stood_in: note on a run that another model is asked
insert into interlock.run_events (run_id, thread_id, kind, detail)
select r.run_id, r.thread_id, 'fallback', %(detail)s from interlock.runs r where r.run_id = %(run_id)s;
