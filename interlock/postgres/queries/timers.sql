-- set_timer: let something happen at a time; no row means that a timer of this name was set before
insert into interlock.timers (kind, due_at, run_id, thread_id, attempts, cron, graph, payload, dedupe)
values (
    %(kind)s, coalesce(%(due_at)s::timestamptz, interlock.clock() + make_interval(secs => %(after_seconds)s::float8)), %(run_id)s,
    coalesce(%(thread_id)s::text, (select r.thread_id from interlock.runs r where r.run_id = %(run_id)s), ''),
    coalesce((select r.attempts from interlock.runs r where r.run_id = %(run_id)s), 0), %(cron)s, %(graph)s, %(payload)s, %(dedupe)s
)
on conflict (dedupe) do nothing
returning id;

-- cancel_timers: nothing of what is set for a run happens any more
update interlock.timers set state = 'cancelled', fired_at = interlock.clock() where run_id = %(run_id)s and state = 'set' and kind = any(%(kinds)s::text[])
returning id;

-- asleep: until when a run sleeps, while its timer is set
select t.due_at, t.due_at <= interlock.clock() as over from interlock.timers t
where t.run_id = %(run_id)s and t.kind = 'wake' and t.state = 'set';

-- fire: do what is due, but for crons, which take code
select * from interlock.fire_timers(%(most)s, %(who)s, %(most_tries)s, %(held_seconds)s);

-- claim_cron: the earliest cron's timer that is due; nobody else gets it meanwhile
select t.*, extract(epoch from interlock.clock() - t.due_at)::float8 as late, interlock.clock() as now from interlock.timers t
where t.state = 'set' and t.kind = 'cron' and coalesce(t.paused_until, t.due_at) <= (select interlock.clock()) and t.graph = any(%(graphs)s::text[])
order by coalesce(t.paused_until, t.due_at), t.id limit 1 for update skip locked;

-- settle: note what became of a timer
update interlock.timers set state = %(state)s, error = '', fired_at = interlock.clock(), fired_by = %(who)s where id = %(id)s;

-- failed: what a timer was to do went wrong; it is tried again after a pause, until it was tried often enough
select interlock.timer_failed(%(id)s, %(error)s, %(most_tries)s);

-- next_due: in how many seconds something is due, of timers, of crons and of questions
select extract(epoch from (
        select coalesce(paused_until, due_at) from interlock.timers
        where state = 'set' and kind <> 'cron' order by coalesce(paused_until, due_at) limit 1
    ) - interlock.clock())::float8 as timer,
    extract(epoch from (
        select min(coalesce(paused_until, due_at)) from interlock.timers
        where state = 'set' and kind = 'cron' and graph = any(%(graphs)s::text[])
    ) - interlock.clock())::float8 as cron,
    extract(epoch from (
        select min(least(deadline, remind_at, escalate_at)) from interlock.questions
        where status = 'open' and least(deadline, remind_at, escalate_at) is not null
    ) - now())::float8 as question;

-- timers: what is set, or what became of it, the earliest first
select t.*, greatest(extract(epoch from coalesce(t.fired_at, interlock.clock()) - t.due_at), 0)::float8 as late from interlock.timers t
where t.state = any(%(states)s::text[]) and (%(thread_id)s::text is null or t.thread_id = %(thread_id)s)
    and (%(kind)s::text is null or t.kind = %(kind)s)
order by t.due_at, t.id limit %(limit)s;

-- retry: let timers that were set aside be due at once
update interlock.timers set state = 'set', tries = 0, paused_until = interlock.clock()
where state = 'failed' and (%(id)s::bigint is null or id = %(id)s);

-- forget: timers that are over, some time ago, a few at once
delete from interlock.timers where id in (
    select id from interlock.timers where state in ('fired', 'cancelled') and coalesce(fired_at, set_at) < interlock.clock() - make_interval(secs => %(seconds)s::float8)
    limit %(most)s
);

-- wake: let a thread that sleeps go on here and now, if its time has come
select interlock.wake(%(run_id)s, false) as run_id;

-- has_passed: whether a time has passed, and no run stands under an idempotency key that may come again after it
select %(at)s <= clock_timestamp() and not exists (
    select from interlock.run_options o where o.tenant = %(tenant)s and o.idempotency_key = %(key)s and %(key)s <> ''
) as passed;
