-- What clients of the server say of threads; a thread that was made elsewhere has no card.
create table interlock.thread_cards (
    thread_id text primary key references interlock.threads on delete cascade,
    metadata jsonb not null default '{}',
    config jsonb not null default '{}',  -- of its latest run, as the client sent it
    ttl_minutes double precision check (ttl_minutes > 0),
    ttl_strategy text not null default 'delete' check (ttl_strategy in ('delete', 'keep_latest')),
    expires_at timestamptz,
    goes_on boolean not null default false,  -- the state that was written last has nodes that are to run
    state_updated_at timestamptz  -- when a state was written from outside; null for never
);
create index thread_cards_metadata on interlock.thread_cards using gin (metadata jsonb_path_ops);
create index thread_cards_expire on interlock.thread_cards (expires_at) where expires_at is not null;

-- How a thread stands in the words of LangGraph's server, by the run that it is at and by what was written to its state since.
create function interlock.client_status(a_run text, goes_on boolean, written_at timestamptz) returns text language sql stable as $$
    select coalesce((
        select case
            when r.status = 'queued' and r.error_kind = 'breakpoint' then 'interrupted'
            when r.status in ('queued', 'running') then 'busy'
            when written_at > r.finished_at then case when goes_on then 'interrupted' else 'idle' end
            when r.status = 'waiting' then 'interrupted'
            when r.status in ('failed', 'dead', 'killed') then 'error'
            else 'idle'
        end
        from interlock.runs r where r.run_id = a_run
    ), case when goes_on then 'interrupted' else 'idle' end)
$$;

-- LangGraph's store, as `AsyncPostgresStore.setup()` of langgraph-checkpoint-postgres 3.2 makes it. Interlock's items stand under a
-- first label that names their tenant (interlock.store_label); what an application of its own keeps here does not.
create table if not exists store (
    prefix text not null,
    key text not null,
    value jsonb not null,
    created_at timestamptz default current_timestamp,
    updated_at timestamptz default current_timestamp,
    primary key (prefix, key)
);
alter table store add column if not exists expires_at timestamptz, add column if not exists ttl_minutes double precision;  -- theirs is an int
create index if not exists store_prefix_idx on store using btree (prefix text_pattern_ops);
create index if not exists idx_store_expires_at on store (expires_at) where expires_at is not null;
create table if not exists store_migrations (v integer primary key);
insert into store_migrations (v) values (0), (1), (2), (3) on conflict do nothing;

-- The first label of a tenant's items. Labels hold no dots, so those of a tenant's name are written otherwise.
create function interlock.store_label(a_tenant text) returns text language sql immutable strict parallel safe as $$
    select 'tenant=' || replace(replace(a_tenant, '%', '%25'), '.', '%2E')
$$;
