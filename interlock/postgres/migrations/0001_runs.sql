-- Runs are rows; what they ask, do and spend stands beside them.
create schema if not exists interlock;

create table interlock.migrations (
    name text primary key,
    applied_at timestamptz not null default now()
);

create table interlock.threads (
    thread_id text primary key,
    graph text not null,
    title text not null default '',
    context jsonb not null default '{}',  -- model, role models, pinned prompts
    parent_thread_id text,
    parent_checkpoint_id text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index threads_updated on interlock.threads (updated_at desc);

create table interlock.runs (
    run_id text primary key,
    thread_id text not null references interlock.threads on delete cascade,
    graph text not null,
    kind text not null check (kind in ('invoke', 'resume', 'fork')),
    status text not null check (status in ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    context jsonb not null default '{}',
    input_type text,  -- how the input is serialized: LangGraph's serializer, never pickle
    input bytea,
    answers jsonb,  -- interrupt id -> answer; the same map is run again after a crash
    attempts integer not null default 0,
    process text not null default '',
    error text not null default '',
    error_kind text not null default '',
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    number bigint generated always as identity  -- the order in which runs were accepted, whatever the server's clock does
);
create index runs_thread on interlock.runs (thread_id, number);
create index runs_status on interlock.runs (status, created_at) where status in ('queued', 'running', 'waiting');
-- One run at a time per thread, whatever the code above forgets.
create unique index runs_one_active on interlock.runs (thread_id) where status in ('queued', 'running');

create table interlock.questions (
    question_id text primary key,
    thread_id text not null references interlock.threads on delete cascade,
    run_id text not null references interlock.runs on delete cascade,
    graph text not null,
    node text not null default '',
    interrupt_id text not null,
    digest text not null default '',
    payload jsonb not null,
    status text not null default 'open' check (status in ('open', 'answered', 'withdrawn')),
    answer jsonb,
    answered_by text not null default '',
    asked_at timestamptz not null default now(),
    answered_at timestamptz
);
create index questions_thread on interlock.questions (thread_id, asked_at);
create index questions_open on interlock.questions (asked_at) where status = 'open';

create table interlock.effects (
    key text primary key,
    thread_id text not null default '',
    node text not null,
    action text not null,
    arguments jsonb not null,
    result json,  -- kept exactly: json, unlike jsonb, holds every string
    done boolean not null default false,
    intended_at timestamptz not null default now(),
    finished_at timestamptz
);
create index effects_thread on interlock.effects (thread_id, intended_at);

create table interlock.model_calls (
    id bigint generated always as identity primary key,
    thread_id text not null references interlock.threads on delete cascade,
    run_id text not null,
    task_id text not null,  -- of the thread's own graph, also for calls inside its subgraphs
    node text not null,
    model text not null,
    input_tokens integer not null,
    output_tokens integer not null,
    cost double precision,  -- US dollars; null where no price is known
    seconds double precision not null,
    called_at timestamptz not null default now()
);
create index model_calls_thread on interlock.model_calls (thread_id, task_id);
