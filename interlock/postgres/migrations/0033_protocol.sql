-- What was written to threads' states from outside, for whoever looks on at a thread: which checkpoint it made. Numbers are those of
-- the log of streams, so that both are read in one order.
create table interlock.state_updates (
    thread_id text not null references interlock.threads on delete cascade,
    id bigint not null,
    checkpoint_id text not null,
    primary key (thread_id, id)
);
create index state_updates_old on interlock.state_updates (id);

-- As before; and a run that was stopped after it had made a checkpoint left nodes that are to run.
create or replace function interlock.client_status(a_run text, goes_on boolean, written_at timestamptz) returns text language sql stable as $$
    select coalesce((
        select case
            when r.status = 'queued' and r.error_kind = 'breakpoint' then 'interrupted'
            when r.status in ('queued', 'running') then 'busy'
            when written_at > r.finished_at then case when goes_on then 'interrupted' else 'idle' end
            when r.status = 'waiting' then 'interrupted'
            when r.status in ('failed', 'dead', 'killed') then 'error'
            when r.status = 'cancelled' and r.error_kind <> 'RolledBack' and exists (
                select from checkpoints c where c.thread_id = r.thread_id and c.checkpoint_ns = ''
                    and c.metadata ->> 'run_id' = any(interlock.chain(r.run_id))
            ) then 'interrupted'
            else 'idle'
        end
        from interlock.runs r where r.run_id = a_run
    ), case when goes_on then 'interrupted' else 'idle' end)
$$;
