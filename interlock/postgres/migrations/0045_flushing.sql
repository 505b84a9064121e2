-- What a step and an end cost: fewer statements, planned once for a session, and no index that is the head of another.

-- The primary keys begin with the thread, and whoever looks for a thread's rows finds them by those.
drop index if exists checkpoints_thread_id_idx, checkpoint_blobs_thread_id_idx, checkpoint_writes_thread_id_idx;

-- The two ways that each run goes are looked at here: a test compares them with the table.
drop trigger runs_transitions on interlock.runs;
create trigger runs_transitions before update of status on interlock.runs
    for each row when (
        old.status is distinct from new.status
        and (old.status <> 'queued' or new.status <> 'running') and (old.status <> 'running' or new.status <> 'succeeded')
    ) execute function interlock.check_transition();

-- Refuse a flush: not all its workers are here and have their sessions.
create function interlock.refuse_flush(here bigint, wanted integer) returns bigint language plpgsql as $$
begin
    if here < wanted then
        raise exception 'the worker was removed' using errcode = 'IL001';
    end if;
    raise exception 'the session of the worker has ended' using errcode = 'IL001';
end
$$;

-- As before, in fewer statements; what is rarely there is looked for and not written to. The threads are held by a statement of their
-- own, for those after it are to see what was committed before.
create or replace function interlock.finish_charged(
    some_runs text[], some_attempts integer[],
    charge_run text[], charge_kind text[], charge_name text[], charge_steps integer[], charge_seconds double precision[],
    waits boolean
) returns text[] language plpgsql
    set plan_cache_mode = 'force_generic_plan' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    its_threads text[];
    its_runs text[];
    has_timers boolean;
    has_next boolean;
begin
    if waits then
        select array_agg(held.thread_id) into its_threads from (
            select t.thread_id from interlock.threads t
            where t.thread_id in (select r.thread_id from interlock.runs r where r.run_id = any(some_runs) and r.kind <> 'resume')
            order by t.thread_id for no key update
        ) held;
    else
        select array_agg(held.thread_id) into its_threads from (
            select t.thread_id from interlock.threads t
            where t.thread_id in (select r.thread_id from interlock.runs r where r.run_id = any(some_runs) and r.kind <> 'resume')
            for no key update skip locked
        ) held;
    end if;
    with ended as (
        update interlock.runs r set status = 'succeeded', error = '', error_kind = '', finished_at = clock_timestamp()
        from unnest(some_runs, some_attempts) as g (run_id, attempts)
        where r.run_id = g.run_id and r.attempts = g.attempts and r.status = 'running' and r.thread_id = any(its_threads)
            and not exists (select from interlock.stop_orders o where o.run_id = r.run_id)
            and not exists (select from interlock.questions q where q.thread_id = r.thread_id and q.status = 'open')
        returning r.run_id, r.thread_id
    ), gone as (
        delete from interlock.queue q using ended e where q.run_id = e.run_id returning q.run_id, q.worker_id
    ), noted as (
        insert into interlock.run_events (run_id, thread_id, kind, worker_id)
        select e.run_id, e.thread_id, 'succeeded', coalesce(g.worker_id, '') from ended e left join gone g using (run_id)
    ), touched as (
        update interlock.threads t set updated_at = clock_timestamp() from ended e where t.thread_id = e.thread_id
    )
    select array_agg(e.run_id), array_agg(e.thread_id), count(pg_notify('interlock_ended', e.run_id)) > 0 and bool_or(
        exists (select from interlock.timers t where t.run_id = e.run_id and t.state = 'set')
    ), bool_or(exists (select from interlock.queue q where q.thread_id = e.thread_id and q.worker_id is null and not q.ready))
    into its_runs, its_threads, has_timers, has_next from ended e;
    if has_timers then
        update interlock.timers t set state = 'cancelled', fired_at = clock_timestamp()
        where t.run_id = any(its_runs) and t.state = 'set';
    end if;
    if has_next then
        perform interlock.promote(t.thread_id) from unnest(its_threads) as t (thread_id);
    end if;
    -- In one order for all callers, and last: others wait for these rows until this is committed.
    insert into interlock.budgets as b (kind, name, spent)
    select c.kind, c.name, array[0, 0, 0, 0, sum(c.steps), sum(c.seconds::numeric), 0, 0]
    from unnest(charge_run, charge_kind, charge_name, charge_steps, charge_seconds) as c (run_id, kind, name, steps, seconds)
    where c.run_id = any(its_runs)
    group by c.kind, c.name order by c.kind, c.name
    on conflict (kind, name) do update set
        spent = b.spent[:4] || (b.spent[5] + excluded.spent[5]) || (b.spent[6] + excluded.spent[6]) || b.spent[7:],
        updated_at = interlock.budget_touched(b.updated_at);
    if cardinality(some_runs) > coalesce(cardinality(its_runs), 0) then
        select array_agg(r.run_id) into its_runs
        from interlock.runs r join unnest(some_runs, some_attempts) as g (run_id, attempts) using (run_id)
        where r.attempts = g.attempts and r.status = 'succeeded';
    end if;
    return coalesce(its_runs, '{}');
end
$$;

-- As `interlock.budget_reserve`, looked at before it is taken: where too little is left nothing is written, and nothing has to be undone.
-- It costs an eighth more where enough is left, and is for budgets that refused lately. Looked at are the amounts as they are
-- committed: what others take meanwhile is seen when it is taken.
create function interlock.budget_reserve_left(
    p_key text, p_owner text, p_kinds text[], p_names text[], p_defaults numeric[], p_ceilings numeric[], p_keeps numeric[],
    p_wanted numeric[], p_at_once boolean
) returns table (verdict text, scope integer, unit integer, bound numeric, rest numeric) language plpgsql
set plan_cache_mode = 'force_generic_plan' set enable_seqscan = off as $$
begin
    select 'refused', s.i::integer, u::integer, l.bound, l.rest into verdict, scope, unit, bound, rest
    from unnest(p_kinds, p_names) with ordinality as s (k, n, i)
    join lateral (
        select each.limits, each.spent, each.held from interlock.budgets each where each.kind = s.k and each.name = s.n
        limit 1  -- by its key: a join is planned from estimates
    ) b on true
    cross join generate_series(1, 8) as u
    cross join lateral (select least(coalesce(b.limits[u], p_defaults[s.i][u]), p_ceilings[s.i][u]) as bound) as c
    cross join lateral (
        select c.bound,
            c.bound - b.spent[u] - b.held[u] - case
                when p_keeps[s.i] = 0 then 0
                when u in (4, 6) then round(c.bound * p_keeps[s.i], 9)  -- dollars and seconds have parts
                else greatest(ceil(round(c.bound * p_keeps[s.i], 9)), case when u = 5 then 1 else 0 end)  -- a step to land in
            end as rest
    ) as l
    where p_wanted[u] > 0 and l.rest < p_wanted[u]
    order by s.i, u limit 1;
    -- What was taken under this key before is no refusal.
    if found and not exists (select from interlock.budget_entries e where e.key = p_key and e.status in ('held', 'spent')) then
        return next;
        return;
    end if;
    return query select r.* from interlock.budget_reserve(
        p_key, p_owner, p_kinds, p_names, p_defaults, p_ceilings, p_keeps, p_wanted, p_at_once
    ) r;
end
$$;
