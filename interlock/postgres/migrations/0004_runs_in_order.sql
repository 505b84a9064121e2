-- Runs are ordered by when they were accepted, whatever the server's clock does.
alter table interlock.runs add column number bigint generated always as identity;
create index runs_thread_number on interlock.runs (thread_id, number);
drop index interlock.runs_thread;

-- What an act returned is kept exactly: json, unlike jsonb, holds every string.
alter table interlock.effects alter column result type json;
