-- worked_on: how many threads are being worked on in this database; each session also holds the lock of its own name
select (count(*) - count(distinct pid))::int as threads from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and granted and objsubid = 1 and application_name = %(holder)s
    and database = (select oid from pg_database where datname = current_database());

-- drop_ours: remove everything that Interlock stored
drop schema if exists interlock cascade;

-- drop_checkpoints: remove everything that LangGraph stored, and what our saver keeps beside it
drop table if exists checkpoints, checkpoint_blobs, checkpoint_writes, checkpoint_migrations,
    checkpoint_content, checkpoint_references, checkpoint_sweeps, checkpoint_keys,
    store_vectors, store, store_migrations, vector_migrations;

-- facts: what is known of the server and of our data
select current_setting('server_version') as version, pg_database_size(current_database()) as bytes,
    to_regclass('interlock.migrations') is not null as migrated;
