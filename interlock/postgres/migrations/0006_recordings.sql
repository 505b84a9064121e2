-- A model call is a row: what was asked, where, and the answer.
create table interlock.recordings (
    number bigint generated always as identity primary key,  -- the order in which calls were made
    key text not null unique,  -- thread, task, digest and place: the same in each attempt
    thread_id text not null references interlock.threads on delete cascade,
    run_id text not null,  -- that used it last
    node text not null,
    task text not null,  -- LangGraph's checkpoint namespace of the task
    checkpoint_id text not null,  -- that the task started from; ids sort by time
    digest text not null,  -- SHA-256 of prompt, model and parameters
    place integer not null,  -- how often the attempt at the task had asked for the same before
    asked jsonb not null,  -- what a report tells of the request
    answer_type text not null,  -- how the answer is serialized: LangGraph's serializer, never pickle
    answer bytea not null,
    source bigint,  -- on a fork: the call of a parent that it was answered from
    answered integer not null default 0,  -- how often it was given instead of a new call
    stale boolean not null default false,  -- the run that got it failed: a resume asks anew
    recorded_at timestamptz not null default now()
);
create index recordings_digest on interlock.recordings (thread_id, digest);
create index recordings_node on interlock.recordings (thread_id, node, number);
-- A fork uses each call of its parents once, whatever the code above forgets.
create unique index recordings_source on interlock.recordings (thread_id, source);
