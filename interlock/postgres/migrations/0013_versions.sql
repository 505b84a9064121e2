-- Of which version of its graph's schema the input of a run is; of the first when nothing stands here.
-- A table of its own: a worker of an earlier version reads rows of runs whole, and a new column would end its statements.
create table interlock.input_versions (
    run_id text primary key references interlock.runs on delete cascade,
    schema_version integer not null check (schema_version > 1)
);
