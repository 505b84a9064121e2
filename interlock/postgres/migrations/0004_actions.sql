-- An effect says where it was asked for, who performs it, what permitted it, and how it stands.
alter table interlock.effects
    add column run_id text not null default '',
    add column agent text not null default '',
    add column task text not null default '',  -- LangGraph's checkpoint namespace of the task
    add column checkpoint_id text not null default '',  -- that the task started from; ids sort by time
    add column request text not null default '',  -- SHA-256 of action and arguments
    add column asked_for text not null default '',  -- the same as the agent asked for it, before a person's edit
    add column status text not null default 'intended' check (status in ('intended', 'done', 'not_done')),
    add column attempt integer not null default 1,
    add column owner text not null default '',  -- names the lock of the process that performs it; empty when none does
    add column error text not null default '',
    add column cost double precision not null default 0,  -- US dollars, estimated
    add column reversible boolean not null default false,
    add column reads boolean not null default false,  -- it changed nothing: kept for forks and replays only
    add column verdict jsonb not null default '{}',
    add column approval text,  -- the question whose answer permitted it
    add column source text,  -- on a fork: the parent's effect that it was answered from
    add column settled_by text not null default '',  -- who said what became of it while it was in doubt
    add column number bigint generated always as identity;
update interlock.effects set status = 'done' where done;
alter table interlock.effects drop column done;
-- One approval permits one act, and a fork uses each effect of its parent once, whatever the code above forgets.
create unique index effects_approval on interlock.effects (approval) where approval is not null;
create unique index effects_source on interlock.effects (thread_id, source) where source is not null;
create index effects_request on interlock.effects (thread_id, asked_for, number);
create index effects_task on interlock.effects (task, action);
create unique index effects_number on interlock.effects (number);
create index effects_open on interlock.effects (intended_at) where status = 'intended';

create table interlock.refusals (
    key text primary key,  -- of the effect that was not permitted
    thread_id text not null default '',
    run_id text not null default '',
    node text not null,
    agent text not null,
    action text not null,
    request text not null,
    checkpoint_id text not null default '',
    arguments jsonb not null,
    in_a_row integer not null default 0,
    kind text not null,
    reason text not null,
    rule text not null default '',
    refused_at timestamptz not null default now(),
    number bigint generated always as identity
);
create index refusals_thread on interlock.refusals (thread_id, agent, refused_at);
create index refusals_request on interlock.refusals (thread_id, request);

-- Whether the session that took this name still lives: it holds the lock of the name until its connection ends.
create function interlock.lives(name text) returns boolean language sql stable as $$
    select exists (
        select from pg_locks
        where locktype = 'advisory' and granted and objsubid = 1
            and database = (select oid from pg_database where datname = current_database())
            and classid = (hashtextextended(name, 7919) >> 32 & 4294967295)::oid
            and objid = (hashtextextended(name, 7919) & 4294967295)::oid
    )
$$;

-- The threads that were forked from a thread, and those that were forked from the same one as it.
create function interlock.branches(of_thread text) returns setof text language sql stable as $$
    select c.thread_id from interlock.threads c where c.parent_thread_id = of_thread
    union all
    select c.thread_id from interlock.threads me join interlock.threads c on c.parent_thread_id = me.parent_thread_id
    where me.thread_id = of_thread and c.thread_id <> of_thread
$$;
