-- What is to happen at a time. Any worker does what is due: the row is claimed, and what it does is done, in one transaction.

-- The clock that timers, sleeps and crons go by.
create function interlock.clock() returns timestamptz language sql volatile as $$ select clock_timestamp() $$;

create table interlock.crons (
    name text primary key,
    graph text not null,
    input jsonb not null,
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
    fired_by text not null default ''
) with (fillfactor = 80);
create index timers_due on interlock.timers (due_at, id) where state = 'set';
create index timers_failed on interlock.timers (id) where state = 'failed';
create index timers_run on interlock.timers (run_id);
create index timers_cron on interlock.timers (cron) where cron is not null;

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
        select from interlock.timers t where t.state = 'set' and (t.due_at, t.id) < (new.due_at, new.id)
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
