-- What runs tell while they run, for whoever looks on: a client that was cut off goes on behind the last event that it has.
-- Each run has one writer at a time, the worker that holds it, so that within a run, and within a thread, a later event has
-- a larger number in the order of commits, too. Numbers are microseconds of the database's clock: what a crash of the server
-- took back, which those who looked on may have seen, is numbered anew behind what they have seen.
create table interlock.streams (
    run_id text primary key references interlock.runs on delete cascade,
    thread_id text not null,
    attempt integer not null,  -- of the run, that wrote last
    written integer not null,  -- how many events of this attempt: what was written already is not written again
    last_id bigint not null,
    begun_at timestamptz not null default clock_timestamp()
) with (fillfactor = 70);
create index streams_thread on interlock.streams (thread_id);
create index streams_begun on interlock.streams (begun_at);

create table interlock.stream_events (
    run_id text not null,  -- without a reference: it is looked up once for each batch, and goes with its stream
    id bigint not null,
    thread_id text not null,
    event text not null,
    cipher text not null default '',  -- what the data are encrypted with
    data bytea not null,  -- JSON
    primary key (run_id, id)
);
create index stream_events_thread on interlock.stream_events (thread_id, id);

create function interlock.drop_stream() returns trigger language plpgsql as $$
begin
    delete from interlock.stream_events where run_id = old.run_id;
    return null;
end
$$;
create trigger streams_gone after delete on interlock.streams for each row execute function interlock.drop_stream();
