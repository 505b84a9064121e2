-- A fork knows which recorded work it may use, and whether it is a replay.
alter table interlock.threads
    add column lineage jsonb not null default '{}',
    add column purpose text not null default '';  -- 'fork', 'replay', or empty for a thread of its own
update interlock.threads set purpose = 'fork' where parent_thread_id is not null;
create index threads_parent on interlock.threads (parent_thread_id) where parent_thread_id is not null;
