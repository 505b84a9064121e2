-- What search tools answered, so that each query is sent once, also by a run that goes on in another process.
create table interlock.answers (
    collection_id text not null references interlock.collections on delete cascade,
    tool text not null,  -- as it stands among the collection's sources: search:NAME
    query text not null,
    document_ids text[] not null,
    answered_at timestamptz not null default now(),
    primary key (collection_id, tool, query)
);
