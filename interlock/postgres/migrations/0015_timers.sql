-- What is to happen at a time. Any worker does what is due: the row is claimed, and what it does is done, in one transaction.

-- The clock that timers, sleeps and crons go by.
create function interlock.clock() returns timestamptz language sql volatile as $$ select clock_timestamp() $$;

create table interlock.crons (
    name text primary key,
    graph text not null,
    input_type text not null,  -- how the input is serialized, as that of a run; encrypted where that is
    input bytea not null,
    schedule text not null,
    zone text not null,
    catch_up text not null check (catch_up in ('skip', 'once', 'all')),
    thread_id text not null default '',  -- of each of its runs; empty: each begins a thread of its own
    context jsonb not null default '{}',  -- model, tenant and what else its runs are submitted with
    options jsonb not null default '{}',
    enabled boolean not null default true,
    next_at timestamptz,  -- null: paused, or the expression has no further time
    revision bigint not null default 1,  -- a timer of an earlier one does nothing
    created_by text not null default '',
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp()
);

-- What a cron did at each of its times; one row a time, so that none fires twice.
create table interlock.cron_firings (
    cron text not null references interlock.crons on delete cascade,
    due_at timestamptz not null,
    outcome text not null check (outcome in ('submitted', 'missed', 'refused')),
    run_id text not null default '',  -- no reference: it stays when the thread is removed
    thread_id text not null default '',
    detail text not null default '',
    happened_at timestamptz not null default clock_timestamp(),
    primary key (cron, due_at)
);

create table interlock.timers (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('start', 'wake', 'deadline', 'retry', 'cron')),
    due_at timestamptz not null,
    paused_until timestamptz,  -- it was due, but is not tried before: it went wrong, or a kill switch stands over it
    run_id text references interlock.runs on delete cascade,
    thread_id text not null default '',
    attempts integer not null default 0,  -- of the run when it was set: a run that somebody has begun since is left alone
    cron text references interlock.crons on delete cascade,
    graph text not null default '',  -- of a cron: only an application that has it can fire it
    payload jsonb not null default '{}',
    dedupe text unique,
    state text not null default 'set' check (state in ('set', 'fired', 'cancelled', 'failed')),
    tries integer not null default 0,
    error text not null default '',
    set_at timestamptz not null default clock_timestamp(),
    fired_at timestamptz,
    fired_by text not null default '',
    check ((cron is null) = (kind <> 'cron') and (run_id is null) = (kind = 'cron'))
) with (fillfactor = 80);
create index timers_due on interlock.timers (coalesce(paused_until, due_at), id) where state = 'set';
create index timers_failed on interlock.timers (id) where state = 'failed';
create index timers_over on interlock.timers (coalesce(fired_at, set_at)) where state in ('fired', 'cancelled');
create index timers_run on interlock.timers (run_id);
create index timers_cron on interlock.timers (cron) where cron is not null;
create index timers_cron_due on interlock.timers (coalesce(paused_until, due_at), graph) where state = 'set' and kind = 'cron';

-- Since when and until when the nodes of a thread sleep: written when a node first asks, so that it stays as it is.
create table interlock.sleeps (
    sleep_id text primary key,  -- of the thread, the task and which of its sleeps it is
    thread_id text not null references interlock.threads on delete cascade,
    run_id text not null default '',  -- that asked first
    place text not null,  -- the nodes that lead to it
    checkpoint_id text not null default '',
    until timestamptz not null,
    asked_at timestamptz not null default clock_timestamp(),
    woke_at timestamptz
);
create index sleeps_thread on interlock.sleeps (thread_id, place);

-- Tell the workers of a timer that is due before all others: they sleep until the earliest that they know.
create function interlock.tell_of_timer() returns trigger language plpgsql as $$
begin
    if not exists (
        select from interlock.timers t where t.state = 'set' and (coalesce(t.paused_until, t.due_at), t.id) < (coalesce(new.paused_until, new.due_at), new.id)
    ) then
        perform pg_notify('interlock_timers', '');
    end if;
    return null;
end
$$;
create trigger timers_told after insert or update of due_at, state on interlock.timers
    for each row when (new.state = 'set') execute function interlock.tell_of_timer();

-- Questions have times of their own; whoever keeps time looks again when one is asked.
create function interlock.tell_of_question() returns trigger language plpgsql as $$
begin
    perform pg_notify('interlock_timers', '');
    return null;
end
$$;
create trigger questions_told after insert or update of deadline, remind_at, escalate_at on interlock.questions
    for each row when (new.status = 'open' and least(new.deadline, new.remind_at, new.escalate_at) is not null)
    execute function interlock.tell_of_question();

-- Let a thread that sleeps go on: a run that resumes it. Null: it is not its turn, because the thread goes on already or has ended.
create function interlock.wake(a_run text, hand_over boolean) returns text language plpgsql
    set enable_seqscan = off as $$
declare
    it_thread text;
    base record;
    new_run text := gen_random_uuid()::text;
begin
    select thread_id into it_thread from interlock.runs where run_id = a_run;
    perform from interlock.threads where thread_id = it_thread for no key update;
    select r.run_id, r.status, r.graph, r.context, coalesce(o.tenant, '') as tenant, coalesce(o.priority, 0) as priority into base
    from interlock.runs r left join interlock.run_options o using (run_id)
    where r.run_id = (select interlock.last_run(it_thread));
    if not found or base.status <> 'waiting'
        or exists (
            select from interlock.runs where thread_id = it_thread
                and (status = 'running' or (status = 'queued' and (attempts > 0 or kind = 'resume')))
        )
        or (base.run_id <> a_run and exists (
            select from interlock.timers where run_id = base.run_id and kind = 'wake' and state = 'set'
        ))
    then
        return null;
    end if;
    insert into interlock.runs (run_id, thread_id, graph, kind, status, context, input_type, input, answers)
    values (new_run, it_thread, base.graph, 'resume', 'queued', base.context, 'null', '', '{}');
    insert into interlock.run_options (run_id, base_run_id, tenant, priority)
    values (new_run, base.run_id, base.tenant, base.priority);
    perform interlock.note_run(new_run, it_thread, 'woken', '', jsonb_build_object('base', base.run_id));
    if hand_over then
        perform interlock.enqueue(new_run);
    end if;
    return new_run;
end
$$;

-- Do what one timer is for. Returned is what became of it; `held`: a kill switch stands over it.
create function interlock.fire_timer(a_timer bigint) returns text language plpgsql as $$
declare
    t interlock.timers;
begin
    select * into t from interlock.timers where id = a_timer;
    if t.kind = 'wake' then
        if exists (select from interlock.kills_over(t.run_id)) then
            return 'held';
        end if;
        return case when interlock.wake(t.run_id, true) is null then 'cancelled' else 'fired' end;
    end if;
    if t.kind = 'deadline' then
        return case when interlock.stop_run(t.run_id, 'deadline', '', '') = 'ended' then 'cancelled' else 'fired' end;
    end if;
    if not exists (select from interlock.runs where run_id = t.run_id and status = 'queued' and attempts = t.attempts) then
        return 'cancelled';
    end if;
    perform interlock.note_run(t.run_id, t.thread_id, 'queued', '', jsonb_build_object('timer', t.kind));
    perform interlock.enqueue(t.run_id);
    return 'fired';
end
$$;

-- What went wrong is tried again after a pause, until it was tried often enough.
create function interlock.timer_failed(a_timer bigint, an_error text, most_tries integer) returns void language sql as $$
    update interlock.timers
    set tries = tries + 1, error = left(an_error, 1000), state = case when tries + 1 >= most_tries then 'failed' else 'set' end,
        paused_until = interlock.clock() + make_interval(secs => power(2, tries))
    where id = a_timer
$$;

-- Fire what is due, but for crons, which take code: the timers are claimed, and their threads held, without waiting for anybody.
-- Returned is what became of each that was claimed.
create function interlock.fire_timers(most integer, who text, most_tries integer, held_seconds float8)
returns table (timer bigint, late float8, outcome text) language plpgsql as $$
declare
    t record;
    became text;
begin
    for t in
        with due as materialized (
            select d.id, d.thread_id, d.due_at from interlock.timers d
            where d.state = 'set' and d.kind <> 'cron' and coalesce(d.paused_until, d.due_at) <= (select interlock.clock())
            order by coalesce(d.paused_until, d.due_at), d.id limit most for update skip locked
        ), held as materialized (
            select h.thread_id from interlock.threads h where h.thread_id in (select d.thread_id from due d)
            order by h.thread_id for no key update skip locked
        )
        select due.id, due.due_at from due join held using (thread_id) order by due.due_at, due.id
    loop
        timer := t.id;
        late := extract(epoch from interlock.clock() - t.due_at);
        begin
            became := interlock.fire_timer(t.id);
            if became = 'held' then
                update interlock.timers
                set paused_until = interlock.clock() + make_interval(secs => held_seconds), error = 'A kill switch stands over it.'
                where id = t.id;
            else
                update interlock.timers set state = became, error = '', fired_at = interlock.clock(), fired_by = who where id = t.id;
            end if;
        exception when others then
            became := 'failed';
            perform interlock.timer_failed(t.id, sqlerrm, most_tries);
        end;
        outcome := became;
        return next;
    end loop;
end
$$;
