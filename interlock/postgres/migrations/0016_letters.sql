-- Dead letters: a run that workers did has failed for good, and a person has to look. One open letter for each run.
create table interlock.letters (
    letter_id text primary key,
    run_id text not null references interlock.runs on delete cascade,
    thread_id text not null,
    graph text not null,
    tenant text not null default '',
    kind text not null,  -- of the failure: interlock/core/failures.py
    error text not null default '',
    error_type text not null default '',
    traceback text not null default '',
    because text not null default '',  -- why it was not tried again
    node text not null default '',
    checkpoint_id text not null default '',  -- the last of the thread
    attempts integer not null,
    holds boolean not null default false,  -- what is queued on the thread waits until the letter is closed
    status text not null default 'open' check (status in ('open', 'replayed', 'discarded', 'repaired')),
    buried_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz,
    closed_by text not null default '',
    closed_why text not null default '',
    proposal jsonb
);
create unique index letters_one_open on interlock.letters (run_id) where status = 'open';
create index letters_open on interlock.letters (buried_at) where status = 'open';
create index letters_holding on interlock.letters (thread_id) where status = 'open' and holds;
create index letters_run on interlock.letters (run_id);

-- The graphs that declare it so; each worker says it of its own as it begins, for whoever buries a run may not have its code.
create table interlock.holding_graphs (graph text primary key);

-- Write the letter of a run that is dead, inside the transaction that ends it. Null: it has one that is open.
create function interlock.bury(a_letter text, a_run text, a_kind text, told jsonb, hold boolean) returns text language plpgsql as $$
declare
    held boolean;
    written text;
    it_thread text;
begin
    held := hold or exists (select from interlock.holding_graphs g join interlock.runs r using (graph) where r.run_id = a_run);
    insert into interlock.letters (
        letter_id, run_id, thread_id, graph, tenant, kind, error, error_type, traceback, because, node, checkpoint_id, attempts, holds
    )
    select a_letter, r.run_id, r.thread_id, r.graph, coalesce(r.context ->> 'tenant', ''), a_kind,
        coalesce(told ->> 'error', ''), coalesce(told ->> 'error_type', ''), coalesce(told ->> 'traceback', ''),
        coalesce(told ->> 'because', ''), coalesce(told ->> 'node', ''),
        coalesce((select max(c.checkpoint_id) from checkpoints c where c.thread_id = r.thread_id and c.checkpoint_ns = ''), ''),
        r.attempts, held
    from interlock.runs r where r.run_id = a_run
    on conflict (run_id) where status = 'open' do nothing
    returning letter_id, thread_id into written, it_thread;
    if held then  -- nobody has seen yet that the next was let go
        update interlock.queue set ready = false where thread_id = it_thread and ready and worker_id is null;
    end if;
    return written;
end
$$;

-- A run that goes on, or never will, is no dead letter any more, whoever says so.
create function interlock.close_letter() returns trigger language plpgsql as $$
begin
    update interlock.letters
    set status = case new.status when 'cancelled' then 'discarded' else 'replayed' end, closed_at = clock_timestamp()
    where run_id = new.run_id and status = 'open';
    return null;
end
$$;
create trigger runs_letters after update of status on interlock.runs
    for each row when (old.status = 'dead' and new.status <> 'dead') execute function interlock.close_letter();

-- A letter holds its thread, where the graph of its run declares so.
create or replace function interlock.is_held(a_thread text, a_run text) returns boolean language sql stable as $$
    select exists (
        select from interlock.letters where thread_id = a_thread and status = 'open' and holds and run_id <> a_run
    )
$$;
