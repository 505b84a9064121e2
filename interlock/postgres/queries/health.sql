-- ping: answer
select 1 as answer;

-- workers: the processes that take runs on, with what they work on now
select w.worker_id, w.process, w.state, w.concurrency, w.graphs, w.tenants, w.started_at,
    extract(epoch from clock_timestamp() - w.beat_at)::float8 as beat_seconds,
    extract(epoch from w.lease_until - clock_timestamp())::float8 as lease_seconds,
    q.runs, q.threads
from interlock.workers w
cross join lateral (
    select count(*)::int as runs, coalesce((array_agg(thread_id order by claimed_at))[:5], '{}') as threads
    from interlock.queue where worker_id = w.worker_id
) q
order by w.started_at, w.worker_id;

-- queue: how many runs are due, by tenant, graph and priority; those that wait longest first
select tenant, graph, priority,
    (count(*) filter (where ready and worker_id is null))::int as ready,
    (count(*) filter (where not ready and worker_id is null))::int as behind,
    count(worker_id)::int as claimed,
    coalesce(extract(epoch from clock_timestamp() - min(rank + priority * interval '1 minute') filter (where ready and worker_id is null)), 0)::float8
        as oldest_seconds
from interlock.queue group by tenant, graph, priority
order by oldest_seconds desc, tenant, graph, priority;

-- runs: how many runs have not ended, by how they stand
select status, count(*)::int as runs from interlock.runs where status in ('queued', 'running', 'waiting') group by status;

-- pace: what happened to runs within the last minute, of the newest events only, and how long a time that is
with latest as (
    select kind, at from interlock.run_events
    where id > (select coalesce(max(id), 0) - 20000 from interlock.run_events) and at > clock_timestamp() - interval '60 seconds'
), span as (
    select case when count(*) < 20000 then 60.0 else extract(epoch from clock_timestamp() - min(at)) end::float8 as seconds from latest
)
select latest.kind, count(*)::int as events, span.seconds from latest, span group by latest.kind, span.seconds;

-- timers: how many are set, by kind; how late the latest is, and when the next is due
select kind, count(*)::int as timers,
    (count(*) filter (where coalesce(paused_until, due_at) <= interlock.clock()))::int as overdue,
    coalesce(extract(epoch from interlock.clock() - min(coalesce(paused_until, due_at))), 0)::float8 as late_seconds,
    min(coalesce(paused_until, due_at)) as next_at
from interlock.timers where state = 'set' group by kind order by kind;

-- questions: how many wait for people, and how many of them beyond their time
select count(*)::int as questions,
    (count(*) filter (where least(deadline, remind_at, escalate_at) <= clock_timestamp()))::int as overdue,
    coalesce(extract(epoch from clock_timestamp() - min(least(deadline, remind_at, escalate_at))), 0)::float8 as late_seconds,
    coalesce(extract(epoch from clock_timestamp() - min(asked_at)), 0)::float8 as oldest_seconds
from interlock.questions where status = 'open';

-- counts: timers that were set aside because they could not be fired, and effects of which nobody knows whether they happened
select (select count(*) from interlock.timers where state = 'failed')::int as failed_timers,
    (
        select coalesce(sum(effects), 0) from (
            select owner, count(*) as effects from interlock.effects where status = 'intended' and not reads group by owner
        ) as intended
        where owner = '' or not interlock.lives(owner)
    )::int as doubts;

-- letters: how many dead letters are open, by kind
select kind, count(*)::int as letters from interlock.letters where status = 'open' group by kind order by letters desc, kind;

-- brakes: what holds model calls up now: limits that calls wait for, providers that asked for time, breakers that are open
select r.name, coalesce(w.waiting, 0) as waiting, coalesce(w.oldest_seconds, 0) as oldest_seconds,
    greatest(r.not_before - n.now, 0)::float8 as told_seconds, r.opened_at > 0 as is_open,
    case when r.opened_at > 0 then n.now - r.opened_at else 0 end::float8 as open_seconds, r.told
from interlock.rates r
cross join (select extract(epoch from clock_timestamp())::float8 as now) n
left join (
    select name, count(*)::int as waiting, extract(epoch from clock_timestamp() - min(since))::float8 as oldest_seconds
    from interlock.rate_waits where until > clock_timestamp() - interval '10 seconds' group by name
) w on w.name = r.name
where r.opened_at > 0 or r.not_before > n.now or w.waiting > 0
order by is_open desc, waiting desc, r.name;

-- pending: which of some threads are queued for workers, and which wait for a timer: asleep, for a retry, or to begin later
select q.thread_id, 'queued' as how from interlock.queue q where q.thread_id = any(%(threads)s) and q.worker_id is null
union all
select r.thread_id, case t.kind when 'wake' then 'asleep' when 'retry' then 'retrying' else 'later' end
from interlock.runs r join interlock.timers t using (run_id)
where r.thread_id = any(%(threads)s) and t.state = 'set' and r.run_id = interlock.present_run(r.thread_id)
    and (r.status, t.kind) in (('waiting', 'wake'), ('queued', 'retry'), ('queued', 'start'));

-- limited: the budgets that have a limit; those of runs, which end, are left out
select * from interlock.budgets
where limits <> array_fill(null::numeric, array[8]) and kind in ('thread', 'graph', 'tenant') limit 1000;

-- server: what time it is, and how busy the server is with this database
select clock_timestamp() as at,
    (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections,
    current_setting('max_connections')::int as most_connections,
    coalesce((
        select extract(epoch from clock_timestamp() - min(xact_start)) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
    ), 0)::float8 as oldest_transaction_seconds,
    coalesce((select n_dead_tup from pg_stat_user_tables where relid = 'interlock.queue'::regclass), 0)::bigint as dead_queue_rows;

-- tables: what our tables take with their indexes, the largest first
select c.relname as name, pg_total_relation_size(c.oid) as bytes
from pg_class c
where c.relkind = 'r' and (
    c.relnamespace = (select relnamespace from pg_class where oid = 'interlock.runs'::regclass)
    or c.oid = any(array['checkpoints'::regclass, 'checkpoint_blobs'::regclass, 'checkpoint_writes'::regclass, 'checkpoint_content'::regclass,
        'checkpoint_references'::regclass]::oid[])
)
order by bytes desc;

-- hear_queue: be told when work may be there
listen interlock_queue;

-- hear_ended: be told when a run has ended
listen interlock_ended;

-- hear_timers: be told when a timer is set
listen interlock_timers;
