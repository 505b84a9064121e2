-- What the saver (interlock.postgres.Checkpointer) keeps beside LangGraph's own four tables, in the same schema as those.
-- `Checkpointer.setup()` runs this file too, in databases without Interlock's other tables: it can be run again.

select pg_advisory_xact_lock(510546117); -- two processes that set up at once take turns

-- Immutable content under its own hash. Kinds: 0 a value, 1 what refers to more, 2 a piece of a large value,
-- 4 a part of a list without references; 16 is added where the body is encrypted.
create table if not exists checkpoint_content (
    hash bytea primary key,
    kind smallint not null,
    body bytea not null
);

-- Who needs it: holders of kind 0 are threads, by their id. What has no holder is collected.
create table if not exists checkpoint_references (
    holder text not null,
    kind smallint not null default 0,
    hash bytea not null,
    generation bigint not null default 0, -- the last sweep when this was written
    primary key (holder, kind, hash)
);
create index if not exists checkpoint_references_hash_idx on checkpoint_references (hash);

-- Which holders lost references. Writers that knew an older generation forget what they had stored for those.
create table if not exists checkpoint_sweeps (
    generation bigint generated always as identity primary key,
    holder text not null,
    swept_at timestamptz not null default now()
);

-- The secret with which content is named where values are encrypted; itself encrypted.
create table if not exists checkpoint_keys (
    id smallint primary key,
    cipher text not null,
    sealed bytea not null
);

-- The references at the head of a body or a channel's value: two bytes with their number, then twenty bytes each.
create or replace function checkpoint_links(body bytea) returns setof bytea
language sql immutable strict parallel safe rows 20 as $$
    select substring(body from 3 + 20 * n for 20)
    from generate_series(0, get_byte(body, 0) * 256 + get_byte(body, 1) - 1) as n
$$;

-- Save what many callers hand in, as one statement and one commit.
-- `seen` is the generation up to which the caller knows of sweeps. Null is returned when all is saved; where there were
-- later sweeps nothing is saved, and the present generation is returned.
create or replace function checkpoint_flush(
    seen bigint,
    content_hash bytea[], content_kind smallint[], content_body bytea[],
    reference_holder text[], reference_hash bytea[],
    blob_thread text[], blob_ns text[], blob_channel text[], blob_version text[], blob_type text[], blob_body bytea[],
    write_thread text[], write_ns text[], write_checkpoint text[], write_task text[], write_path text[], write_idx integer[],
    write_channel text[], write_type text[], write_body bytea[], write_over boolean[],
    put_thread text[], put_ns text[], put_checkpoint text[], put_parent text[], put_body text[], put_metadata text[]
) returns bigint
language plpgsql as $$
declare
    present bigint;
begin
    if seen is not null then
        perform pg_advisory_xact_lock_shared(510546118); -- no collection until this is committed
        select coalesce(max(s.generation), 0) into present from checkpoint_sweeps s;
        if present <> seen then
            return present;
        end if;
        if cardinality(content_hash) > 0 then
            insert into checkpoint_content (hash, kind, body)
            select * from unnest(content_hash, content_kind, content_body)
            on conflict do nothing;
        end if;
        if cardinality(reference_hash) > 0 then
            insert into checkpoint_references (holder, hash, generation)
            select r.holder, r.hash, present from unnest(reference_holder, reference_hash) as r (holder, hash)
            on conflict (holder, kind, hash) do update set generation = excluded.generation
                where checkpoint_references.generation < excluded.generation;
        end if;
    end if;
    if cardinality(blob_thread) > 0 then
        insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
        select * from unnest(blob_thread, blob_ns, blob_channel, blob_version, blob_type, blob_body)
        on conflict do nothing;
    end if;
    if cardinality(write_thread) > 0 then
        insert into checkpoint_writes
            (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
        select w.thread, w.ns, w.checkpoint, w.task, w.path, w.idx, w.channel, w.type, w.body
        from unnest(
            write_thread, write_ns, write_checkpoint, write_task, write_path, write_idx,
            write_channel, write_type, write_body, write_over
        ) as w (thread, ns, checkpoint, task, path, idx, channel, type, body, over)
        where not w.over
        on conflict do nothing;
        if true = any (write_over) then
            insert into checkpoint_writes
                (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
            select w.thread, w.ns, w.checkpoint, w.task, w.path, w.idx, w.channel, w.type, w.body
            from unnest(
                write_thread, write_ns, write_checkpoint, write_task, write_path, write_idx,
                write_channel, write_type, write_body, write_over
            ) as w (thread, ns, checkpoint, task, path, idx, channel, type, body, over)
            where w.over
            on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do update
                set channel = excluded.channel, type = excluded.type, blob = excluded.blob;
        end if;
    end if;
    if cardinality(put_thread) > 0 then
        insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
        select p.thread, p.ns, p.checkpoint, p.parent, p.body::jsonb, p.metadata::jsonb
        from unnest(put_thread, put_ns, put_checkpoint, put_parent, put_body, put_metadata)
            as p (thread, ns, checkpoint, parent, body, metadata)
        on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
            set checkpoint = excluded.checkpoint, metadata = excluded.metadata;
    end if;
    return null;
end
$$;
