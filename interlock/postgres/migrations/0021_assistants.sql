-- Assistants of the server: a graph with a configuration, a context and a name. Those that the server makes, one for each graph,
-- have the tenant '*': they are everybody's.
create table interlock.assistants (
    assistant_id uuid primary key,
    tenant text not null default '',
    graph text not null,
    config jsonb not null,
    context jsonb not null,
    metadata jsonb not null,
    name text not null,
    description text,
    version integer not null default 1,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);
create index assistants_newest on interlock.assistants (tenant, created_at desc, assistant_id);

-- What an assistant was at each of its changes; numbers are never given twice.
create table interlock.assistant_versions (
    assistant_id uuid not null references interlock.assistants on delete cascade,
    version integer not null,
    tenant text not null default '',
    graph text not null,
    config jsonb not null,
    context jsonb not null,
    metadata jsonb not null,
    name text not null,
    description text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (assistant_id, version)
);
