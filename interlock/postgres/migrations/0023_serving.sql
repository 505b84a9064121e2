-- What clients of the server said of their runs, and whom they want to be told.
create table interlock.run_cards (
    run_id text primary key references interlock.runs on delete cascade,
    thread_id text not null,
    assistant_id text not null,
    metadata jsonb not null default '{}',
    kwargs jsonb not null default '{}',  -- without the input: that stands with the run, encrypted where it is
    webhook text not null default '',
    on_completion text not null default 'keep' check (on_completion in ('keep', 'delete'))
);
create index run_cards_temporary on interlock.run_cards (run_id) where on_completion = 'delete';

-- Ends of runs that somebody wants to be told of: written in the transaction that ends the run, sent by any server process.
create table interlock.webhooks (
    id bigint generated always as identity primary key,
    run_id text not null,  -- as the client knows it
    ended_by text not null,  -- the run itself, or what went on with it
    thread_id text not null,
    url text not null,
    ended_as text not null,
    error text not null default '',
    error_kind text not null default '',
    ended_at timestamptz not null default clock_timestamp(),
    status text not null default 'waiting' check (status in ('waiting', 'sent', 'failed')),
    tries integer not null default 0,
    last_error text not null default '',
    due_at timestamptz not null default clock_timestamp(),
    sent_at timestamptz
) with (fillfactor = 80);
create index webhooks_due on interlock.webhooks (due_at, id) where status = 'waiting';
create index webhooks_thread on interlock.webhooks (thread_id);

-- Write down that a run has ended, for whoever is to be told. It looks when the transaction is committed: only then it is known
-- whether a run that waits sleeps, and a run that sleeps has not ended.
create function interlock.tell_of_end() returns trigger language plpgsql
    set enable_seqscan = off as $$
declare
    card record;
begin
    select c.run_id, c.webhook into card from interlock.run_cards c where c.run_id = new.run_id;
    if not found and new.kind = 'resume' then
        select c.run_id, c.webhook into card
        from unnest(interlock.chain(new.run_id)) with ordinality as line (run_id, place)
        join interlock.run_cards c on c.run_id = line.run_id order by line.place desc limit 1;
    end if;
    if card.webhook is null or card.webhook = '' or (
        new.status = 'waiting'
        and exists (select from interlock.timers where run_id = new.run_id and kind = 'wake' and state = 'set')
    ) then
        return null;
    end if;
    insert into interlock.webhooks (run_id, ended_by, thread_id, url, ended_as, error, error_kind)
    values (card.run_id, new.run_id, new.thread_id, card.webhook, new.status, new.error, new.error_kind);
    perform pg_notify('interlock_webhooks', '');
    return null;
end
$$;
create constraint trigger runs_ends_told after update of status on interlock.runs
    deferrable initially deferred for each row
    when (
        old.status is distinct from new.status
        and new.status in ('waiting', 'succeeded', 'failed', 'dead', 'cancelled', 'killed')
    )
    execute function interlock.tell_of_end();

-- Free a thread that waits for people alone, because a new run is to take the place of what they were asked. True: there was something.
-- What stands at a breakpoint asked nobody.
create function interlock.give_way(a_thread text) returns boolean language plpgsql
    set enable_seqscan = off as $$
declare
    last text;
begin
    perform from interlock.threads where thread_id = a_thread for no key update;
    last := interlock.last_run(a_thread);
    if not exists (select from interlock.runs where run_id = last and status = 'waiting' and error_kind <> 'breakpoint')
        or exists (select from interlock.timers where run_id = last and kind = 'wake' and state = 'set')
        or exists (
            select from interlock.runs where thread_id = a_thread
                and (status = 'running' or (status = 'queued' and (attempts > 0 or kind = 'resume')))
        )
    then
        return false;
    end if;
    perform interlock.cancel_run(last, 'interrupt', '', '');
    return true;
end
$$;

-- The run, or what goes on with it since it slept; after an answer it is another run of the client's.
create function interlock.goes_on_awake(a_run text) returns text language sql stable
    set enable_seqscan = off as $$
    with recursive down (run_id, number) as (
        select r.run_id, r.number from interlock.runs r where r.run_id = a_run
        union all
        select r.run_id, r.number from down d
        join interlock.run_options o on o.base_run_id = d.run_id
        join interlock.runs r on r.run_id = o.run_id
        where r.answers = '{}'
    )
    select run_id from down order by number desc limit 1
$$;

-- How a run stands in the words of LangGraph's server. A run that asked people has succeeded: the thread is what is interrupted.
create function interlock.client_run_status(a_run text, a_status text) returns text language sql stable
    set enable_seqscan = off as $$
    select case a_status
        when 'queued' then 'pending'
        when 'running' then 'running'
        when 'succeeded' then 'success'
        when 'waiting' then case
            when exists (select from interlock.timers where run_id = a_run and kind = 'wake' and state = 'set') then 'pending'
            else 'success'
        end
        when 'failed' then 'error'
        when 'dead' then 'error'
        when 'cancelled' then case
            when (
                select detail ->> 'order' from interlock.run_events
                where run_id = a_run and kind = 'cancelled' order by id desc limit 1
            ) = 'deadline' then 'timeout'
            else 'interrupted'
        end
        else 'interrupted'
    end
$$;

-- Note on a thread of which assistant its latest run was asked, and how; what leaves nothing behind is not noted.
create function interlock.note_asked() returns trigger language plpgsql as $$
begin
    insert into interlock.thread_cards (thread_id, metadata, config)
    select new.thread_id, jsonb_build_object('graph_id', r.graph, 'assistant_id', new.assistant_id), coalesce(new.kwargs -> 'config', '{}')
    from interlock.runs r where r.run_id = new.run_id
    on conflict (thread_id) do update set metadata = thread_cards.metadata || excluded.metadata, config = excluded.config
        where not (thread_cards.metadata @> excluded.metadata and thread_cards.config = excluded.config);
    return null;
end
$$;
create trigger run_cards_noted after insert on interlock.run_cards
    for each row when (new.on_completion = 'keep') execute function interlock.note_asked();
