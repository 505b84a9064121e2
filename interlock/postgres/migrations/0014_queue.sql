-- Runs that workers take on. A run that nobody is to work on unasked (begun with `invoke`, or stopped by hand) has no row here.
-- What a run was submitted with stands in a table of its own: workers of an earlier version read rows of runs whole.
create table interlock.run_options (
    run_id text primary key references interlock.runs on delete cascade,
    base_run_id text not null default '',  -- of a resume: the run that asked what is answered
    tenant text not null default '',
    idempotency_key text,
    request text not null default '',  -- digest of what was submitted under the key
    multitask_strategy text not null default 'reject' check (multitask_strategy in ('reject', 'enqueue', 'interrupt', 'rollback')),
    priority integer not null default 0 check (priority between -1000 and 1000),
    start_at timestamptz,
    deadline timestamptz,
    unique (tenant, idempotency_key)
);
create index run_options_base on interlock.run_options (base_run_id) where base_run_id <> '';

-- The processes that take runs on. Whoever is not here any more may write nothing of a run: each write looks at the row,
-- and holds it for key share until it is committed. A heartbeat does not wait for that; a removal does.
create table interlock.workers (
    worker_id text primary key,  -- the name whose advisory lock falls with the connection (interlock.lives)
    process text not null,  -- host:pid
    backend integer not null,  -- of the connection that holds its locks
    state text not null default 'working' check (state in ('working', 'draining')),
    concurrency integer not null check (concurrency > 0),
    graphs text[],  -- null: all
    tenants text[],
    started_at timestamptz not null default clock_timestamp(),
    beat_at timestamptz not null default clock_timestamp(),
    lease_until timestamptz not null
) with (fillfactor = 50);

-- The queue: a row for each run that is due, until it has ended. What starts later is put in by its timer.
create table interlock.queue (
    run_id text primary key references interlock.runs on delete cascade,
    thread_id text not null,
    graph text not null,
    tenant text not null default '',
    rank timestamptz not null,  -- when it came, less the head start of its priority: so it ages, and nothing starves
    priority integer not null default 0,  -- that the rank was made with
    number bigint not null,  -- of the run: the order within a thread
    resumes boolean not null default false,  -- it goes on with a thread that waits, and so goes before those that begin anew
    ready boolean not null default false,  -- it is the next of its thread, and the thread is free
    worker_id text,  -- who works on it; whoever claims holds the worker's row, and whoever removes a worker releases its runs
    claimed_at timestamptz,
    crashes integer not null default 0,  -- how often in a row its worker died without that it made a step
    crashed_at text not null default ''  -- the checkpoint where that was
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index queue_ready on interlock.queue (tenant, graph, rank, number) where ready and worker_id is null;
create index queue_claimed on interlock.queue (tenant, worker_id) where worker_id is not null;
create index queue_thread on interlock.queue (thread_id, resumes desc, number);
create unique index queue_one_claimed on interlock.queue (thread_id) where worker_id is not null;

-- What happened to runs, in the transaction that made it happen.
create table interlock.run_events (
    id bigint generated always as identity primary key,
    run_id text not null references interlock.runs on delete cascade,
    thread_id text not null,
    kind text not null,  -- submitted, queued, claimed, released, lost, retried, cancelled, and how it ended
    worker_id text not null default '',
    detail jsonb not null default '{}',
    at timestamptz not null default clock_timestamp()
);
create index run_events_run on interlock.run_events (run_id, id);

-- Orders to stop what runs: whoever runs it sees them and ends it.
create table interlock.stop_orders (
    run_id text primary key references interlock.runs on delete cascade,
    kind text not null check (kind in ('cancel', 'interrupt', 'rollback', 'deadline')),
    reason text not null default '',
    ordered_by text not null default '',
    ordered_at timestamptz not null default clock_timestamp()
);

-- How the status of a run may change; interlock/core/run_states.py is its twin, and a test compares them.
create table interlock.run_transitions (
    before text not null,
    after text not null,
    primary key (before, after)
);
insert into interlock.run_transitions (before, after) values
    ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'failed'), ('queued', 'dead'), ('queued', 'killed'),
    ('running', 'queued'), ('running', 'waiting'), ('running', 'succeeded'), ('running', 'failed'), ('running', 'dead'),
    ('running', 'cancelled'), ('running', 'killed'),
    ('waiting', 'cancelled'),
    ('failed', 'queued'), ('failed', 'running'), ('failed', 'dead'), ('failed', 'cancelled'),
    ('dead', 'queued'), ('dead', 'running'), ('dead', 'cancelled'),
    ('killed', 'queued'), ('killed', 'running'), ('killed', 'cancelled');

create function interlock.check_transition() returns trigger language plpgsql as $$
begin
    if not exists (select from interlock.run_transitions where before = old.status and after = new.status) then
        raise exception 'a run that is % does not become %', old.status, new.status using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger runs_transitions before update of status on interlock.runs
    for each row when (old.status is distinct from new.status) execute function interlock.check_transition();

-- Not validated: what stands there obeyed the narrower one, and reading it all would hold up the workers.
alter table interlock.runs
    drop constraint runs_status_check,
    add constraint runs_status_check check (
        status in ('queued', 'running', 'waiting', 'succeeded', 'failed', 'dead', 'cancelled', 'killed')
    ) not valid;
-- Several may be queued on a thread now; one runs at a time, whatever the code above forgets.
drop index interlock.runs_one_active;
create unique index runs_one_running on interlock.runs (thread_id) where status = 'running';
create index runs_begun on interlock.runs (thread_id) where status = 'queued' and attempts > 0;
create index runs_last on interlock.runs (thread_id, finished_at desc nulls last, number desc) where status not in ('queued', 'running');

-- The run that a thread has come to: of those that have begun and do not run any more the last. What was rolled back never was.
create function interlock.last_run(a_thread text) returns text language sql stable as $$
    select run_id from interlock.runs
    where thread_id = a_thread and status not in ('queued', 'running') and (attempts > 0 or status <> 'cancelled')
        and error_kind <> 'RolledBack'
    order by finished_at desc nulls last, number desc limit 1
$$;

-- The run that a thread is at: what runs, else what has begun or was answered, else what waits, else the next, else the last.
create function interlock.present_run(a_thread text) returns text language sql stable as $$
    with last as materialized (select interlock.last_run(a_thread) as run_id)
    select r.run_id from interlock.runs r
    left join last on last.run_id = r.run_id
    left join interlock.run_options o on o.run_id = r.run_id
    where r.thread_id = a_thread
    order by case
        when r.status = 'running' then 0
        when r.status = 'queued' and (r.attempts > 0 or r.kind = 'resume') then 1
        when r.status = 'waiting' and last.run_id is not null then 2
        when r.status = 'queued' and coalesce(o.start_at <= clock_timestamp(), true) then 3
        when last.run_id is not null then 4
        when r.status = 'queued' then 5
        else 6
    end, case when r.status = 'queued' then r.number else - r.number end limit 1
$$;

-- Whether a thread is held, so that no other run of it may begin; the migration of dead letters says by what.
create function interlock.is_held(a_thread text, a_run text) returns boolean language sql stable as $$ select false $$;

-- The queue is often empty, and then the server's statistics say that it is small: a plan that was made so and kept would read all of
-- it for each run once ten thousand come at once. So functions that look a row up by its name never read whole tables.
-- Whether the next run of a thread may begin: nothing runs on it or is about to, nothing has begun and is to go on,
-- and it waits for nobody unless it is a resume.
create function interlock.is_free(a_thread text, for_resume boolean, a_run text) returns boolean language sql stable
    set enable_seqscan = off as $$
    select not exists (select from interlock.queue where thread_id = a_thread and (ready or worker_id is not null))
        and not exists (select from interlock.runs where thread_id = a_thread and status = 'running')
        and not exists (
            select from interlock.runs where thread_id = a_thread and status = 'queued' and attempts > 0 and run_id <> a_run
        )
        and (for_resume or not coalesce((
            select status = 'waiting' from interlock.runs where run_id = (select interlock.last_run(a_thread))
        ), false))
        and not interlock.is_held(a_thread, a_run)
$$;

-- Hand a queued run to the workers; whoever calls it ends the transaction soon, for it holds the thread.
create function interlock.enqueue(a_run text) returns void language plpgsql
    set enable_seqscan = off as $$
declare
    it record;
begin
    select r.thread_id, r.graph, r.number, r.kind = 'resume' as resumes, coalesce(r.context ->> 'tenant', '') as tenant,
        coalesce((select o.priority from interlock.run_options o where o.run_id = r.run_id), 0) as priority
    into it from interlock.runs r where r.run_id = a_run and r.status = 'queued';
    if not found then
        return;
    end if;
    perform from interlock.threads where thread_id = it.thread_id for no key update;
    insert into interlock.queue (run_id, thread_id, graph, tenant, rank, priority, number, resumes, ready)
    values (
        a_run, it.thread_id, it.graph, it.tenant, clock_timestamp() - it.priority * interval '1 minute', it.priority, it.number, it.resumes,
        interlock.is_free(it.thread_id, it.resumes, a_run)
    )
    on conflict (run_id) do nothing;
    perform pg_notify('interlock_queue', '');
end
$$;

-- Let the next run of a thread begin, if there is one and the thread is free; whoever calls it holds the thread.
create function interlock.promote(a_thread text) returns void language plpgsql
    set enable_seqscan = off as $$
declare
    next record;
begin
    select q.run_id, q.resumes into next from interlock.queue q
    where q.thread_id = a_thread and q.worker_id is null and not q.ready
    order by q.resumes desc, q.number limit 1;
    if found and interlock.is_free(a_thread, next.resumes, next.run_id) then
        update interlock.queue set ready = true where run_id = next.run_id;
        perform pg_notify('interlock_queue', '');
    end if;
end
$$;

-- Note what happened to a run, inside the transaction that makes it happen.
create function interlock.note_run(a_run text, a_thread text, a_kind text, a_worker text, a_detail jsonb) returns void language sql as $$
    insert into interlock.run_events (run_id, thread_id, kind, worker_id, detail) values (a_run, a_thread, a_kind, a_worker, a_detail)
$$;

-- A process of nobody's but its caller's begins an attempt: then no worker does. False: it went on since it was read, or is killed.
-- Locks are taken in one order everywhere: the thread, the queue, the run.
create function interlock.start_run(a_run text, had integer, a_process text, a_context jsonb) returns boolean language plpgsql
    set enable_seqscan = off as $$
declare
    it_thread text;
begin
    select thread_id into it_thread from interlock.runs where run_id = a_run;
    perform from interlock.threads where thread_id = it_thread for no key update;
    perform from interlock.queue where thread_id = it_thread and (run_id = a_run or ready or worker_id is not null)
    order by run_id for update;
    if exists (select from interlock.queue where thread_id = it_thread and worker_id is not null) then
        return false;
    end if;
    update interlock.runs
    set status = 'running', attempts = attempts + 1, process = a_process, started_at = coalesce(started_at, now()),
        error = '', error_kind = '', context = a_context
    where run_id = a_run and attempts = had and status in ('queued', 'running', 'failed', 'dead', 'killed')
        and not exists (select from interlock.kills_over(a_run));
    if not found then
        return false;
    end if;
    delete from interlock.queue where run_id = a_run;
    update interlock.queue set ready = false where thread_id = it_thread and ready;
    return true;
end
$$;

-- An attempt ends. What was ordered meanwhile counts: a run that is to be stopped is not handed back and asks nobody, and what
-- is to be rolled back is, however it ended. Returned is how it ended; null: it was taken over, and nothing was changed.
create function interlock.end_run(
    a_run text, attempt integer, a_status text, an_error text, a_kind text, requeue boolean, detail jsonb
) returns text language plpgsql
    set enable_seqscan = off as $$
declare
    it_thread text;
    worker text;
    ordered record;
begin
    select thread_id into it_thread from interlock.runs where run_id = a_run;
    update interlock.threads set updated_at = clock_timestamp() where thread_id = it_thread;
    select worker_id into worker from interlock.queue where run_id = a_run for update;
    select o.kind, o.reason, o.ordered_by into ordered from interlock.stop_orders o where o.run_id = a_run;
    if ordered.kind = 'rollback' or (ordered.kind is not null and a_status in ('waiting', 'queued')) then
        a_status := 'cancelled';
        an_error := interlock.stop_story(ordered.kind, ordered.reason, ordered.ordered_by);
        a_kind := 'RunCancelled';
    end if;
    update interlock.runs
    set status = a_status, error = an_error, error_kind = a_kind,
        finished_at = case when a_status = 'queued' then null else clock_timestamp() end
    where run_id = a_run and attempts = attempt and status = 'running';
    if not found then
        return null;
    end if;
    if a_status = 'queued' and requeue then
        update interlock.queue set worker_id = null, claimed_at = null, ready = true where run_id = a_run;
        perform pg_notify('interlock_queue', '');
    else
        delete from interlock.queue where run_id = a_run;
    end if;
    if a_status = 'cancelled' and ordered.kind is not null then
        detail := detail || jsonb_build_object('order', ordered.kind, 'reason', ordered.reason, 'by', ordered.ordered_by);
    end if;
    perform interlock.note_run(
        a_run, it_thread,
        case when a_status <> 'queued' then a_status when detail ? 'retry_seconds' then 'retried' else 'released' end,
        coalesce(worker, ''), detail
    );
    if a_status <> 'queued' then
        delete from interlock.stop_orders where run_id = a_run;
        if a_status <> 'waiting' then
            update interlock.timers set state = 'cancelled', fired_at = clock_timestamp()
            where run_id = any(interlock.chain(a_run)) and state = 'set';
        end if;
        if ordered.kind = 'rollback' then
            perform interlock.roll_back(it_thread, interlock.chain(a_run));
        end if;
        perform interlock.promote(it_thread);
        perform pg_notify('interlock_ended', a_run);
    end if;
    return a_status;
end
$$;

-- Say in words why a run was stopped.
create function interlock.stop_story(a_kind text, a_reason text, who text) returns text language sql immutable as $$
    select case a_kind
        when 'deadline' then 'Its deadline passed before it had ended'
        when 'interrupt' then 'A later run took its place'
        when 'rollback' then 'A later run took its place, and what it had done to the thread was undone'
        else 'It was cancelled'
    end || case when who <> '' then ' by ' || who else '' end || case when a_reason <> '' then ': ' || rtrim(a_reason, '.') else '' end || '.'
$$;

-- The run, or the last of those that go on with it because its questions were answered.
create function interlock.goes_on_as(a_run text) returns text language sql stable as $$
    with recursive down (run_id, number) as (
        select r.run_id, r.number from interlock.runs r where r.run_id = a_run
        union all
        select r.run_id, r.number from down d
        join interlock.run_options o on o.base_run_id = d.run_id
        join interlock.runs r on r.run_id = o.run_id
    )
    select run_id from down order by number desc limit 1
$$;

-- Stop a run, or what goes on with it. Returned is `cancelled`; `ordered`: whoever runs it sees the order and ends it; `ended`: before.
create function interlock.stop_run(a_run text, a_kind text, a_reason text, who text) returns text language plpgsql as $$
declare
    it record;
begin
    perform from interlock.threads t join interlock.runs r using (thread_id) where r.run_id = a_run for no key update of t;
    a_run := interlock.goes_on_as(a_run);
    perform from interlock.queue where run_id = a_run for update;
    select r.status, r.thread_id, interlock.last_run(r.thread_id) as last into it from interlock.runs r where r.run_id = a_run;
    if it.status = 'running' then
        insert into interlock.stop_orders (run_id, kind, reason, ordered_by) values (a_run, a_kind, a_reason, who)
        on conflict (run_id) do update set kind = excluded.kind, reason = excluded.reason, ordered_by = excluded.ordered_by
            where excluded.kind = 'rollback';
        perform pg_notify('interlock_stops', a_run);
        return 'ordered';
    end if;
    if it.status is null or it.status not in ('queued', 'waiting') or (it.status = 'waiting' and it.last is distinct from a_run) then
        return 'ended';
    end if;
    perform interlock.cancel_run(a_run, a_kind, a_reason, who);
    return 'cancelled';
end
$$;

-- Cancel a run that nobody works on: whoever calls it has made sure of that, and holds the thread.
create function interlock.cancel_run(a_run text, a_kind text, a_reason text, who text) returns void language plpgsql as $$
declare
    it_thread text;
    line text[] := interlock.chain(a_run);
begin
    select thread_id into it_thread from interlock.runs where run_id = a_run;
    update interlock.threads set updated_at = clock_timestamp() where thread_id = it_thread;
    delete from interlock.queue where run_id = a_run;
    update interlock.runs
    set status = 'cancelled', error = interlock.stop_story(a_kind, a_reason, who), error_kind = 'RunCancelled', finished_at = clock_timestamp()
    where run_id = a_run or (run_id = any(line) and status = 'waiting');
    with gone as (
        update interlock.questions set status = 'withdrawn' where run_id = any(line) and status = 'open' returning question_id
    )
    insert into interlock.question_events (question_id, kind, who, detail) select question_id, 'withdrawn', '', '{}' from gone;
    update interlock.timers set state = 'cancelled', fired_at = clock_timestamp() where run_id = any(line) and state = 'set';
    delete from interlock.stop_orders where run_id = a_run;
    perform interlock.note_run(a_run, it_thread, 'cancelled', '', jsonb_build_object('order', a_kind, 'reason', a_reason, 'by', who));
    if a_kind = 'rollback' then
        perform interlock.roll_back(it_thread, line);
    end if;
    perform interlock.promote(it_thread);
    perform pg_notify('interlock_ended', a_run);
end
$$;

-- Cancel a run that is to be stopped and whose process is gone; whoever calls it holds the lock of its thread. False: it is a worker's.
create function interlock.carry_out(a_run text) returns boolean language plpgsql as $$
declare
    ordered record;
begin
    perform from interlock.threads t join interlock.runs r using (thread_id) where r.run_id = a_run for no key update of t;
    perform from interlock.queue where run_id = a_run for update;
    select o.kind, o.reason, o.ordered_by into ordered from interlock.stop_orders o join interlock.runs r using (run_id)
    where o.run_id = a_run and r.status in ('running', 'queued')
        and not exists (select from interlock.queue q where q.run_id = a_run and q.worker_id is not null);
    if not found then
        return false;
    end if;
    perform interlock.cancel_run(a_run, ordered.kind, ordered.reason, ordered.ordered_by);
    return true;
end
$$;

-- Undo what some runs did to a thread; what they did to the world stays in the ledger.
create function interlock.roll_back(a_thread text, some_runs text[]) returns void language plpgsql as $$
begin
    update interlock.runs set status = 'cancelled', error_kind = 'RolledBack', finished_at = coalesce(finished_at, clock_timestamp())
    where run_id = any(some_runs) and status in ('queued', 'waiting', 'cancelled');
    delete from checkpoint_writes w using checkpoints c
    where c.thread_id = a_thread and c.metadata ->> 'run_id' = any(some_runs)
        and w.thread_id = c.thread_id and w.checkpoint_ns = c.checkpoint_ns and w.checkpoint_id = c.checkpoint_id;
    delete from checkpoints where thread_id = a_thread and metadata ->> 'run_id' = any(some_runs);
    insert into interlock.foldings (thread_id) values (a_thread)
    on conflict (thread_id) do update set number = foldings.number + 1, folded_at = now();
end
$$;

-- The run, and before it those that it goes on with because their questions were answered; others may have come in between.
create or replace function interlock.chain(a_run text) returns text[] language sql stable as $$
    with recursive up (run_id, thread_id, number, kind, depth) as (
        select r.run_id, r.thread_id, r.number, r.kind, 0 from interlock.runs r where r.run_id = a_run
        union all
        select p.run_id, p.thread_id, p.number, p.kind, u.depth + 1
        from up u
        cross join lateral (
            select b.* from interlock.runs b
            where b.thread_id = u.thread_id and b.number < u.number and b.run_id = coalesce(
                (select o.base_run_id from interlock.run_options o where o.run_id = u.run_id and o.base_run_id <> ''), b.run_id
            )
            order by b.number desc limit 1
        ) p
        where u.kind = 'resume'
    )
    select array(select run_id from up order by depth desc)
$$;
