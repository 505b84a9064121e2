-- What came of runs in the world, as somebody found out later.
create table interlock.outcomes (
    outcome_id bigint generated always as identity primary key,
    run_id text not null references interlock.runs on delete cascade,
    thread_id text not null references interlock.threads on delete cascade,
    met boolean,  -- whether the objective was met; null where it is not said
    score double precision check (score between 0 and 1),
    note text not null default '',
    detail jsonb not null default '{}',
    reported_by text not null default '',
    reported_at timestamptz not null default clock_timestamp()
);
create index outcomes_run on interlock.outcomes (run_id);
create index outcomes_thread on interlock.outcomes (thread_id);
create index outcomes_reported on interlock.outcomes (reported_at desc);
