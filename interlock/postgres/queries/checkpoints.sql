-- made: whether our tables and functions are there, beside LangGraph's; they are made in one transaction, this function last
select exists (
    select from pg_proc f join pg_class c on c.relnamespace = f.pronamespace
    where f.proname = 'checkpoint_flush' and c.oid = to_regclass('checkpoints')
) as made;

-- flush: save what many callers hand in, in one statement and one commit; returns null, or the generation that they did not know
select checkpoint_flush(
    %(seen)s::bigint,
    %(content_hash)s, %(content_kind)s, %(content_body)s,
    %(reference_holder)s, %(reference_hash)s,
    %(blob_thread)s, %(blob_ns)s, %(blob_channel)s, %(blob_version)s, %(blob_type)s, %(blob_body)s,
    %(write_thread)s, %(write_ns)s, %(write_checkpoint)s, %(write_task)s, %(write_path)s, %(write_idx)s,
    %(write_channel)s, %(write_type)s, %(write_body)s, %(write_over)s,
    %(put_thread)s, %(put_ns)s, %(put_checkpoint)s, %(put_parent)s, %(put_body)s, %(put_metadata)s
) as present, '{}'::text[] as ended;

-- plain_flush: the same where nothing refers to content, nothing is replaced and nobody is fenced, as at most steps
with blob as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select * from unnest(
        %(blob_thread)s::text[], %(blob_ns)s::text[], %(blob_channel)s::text[],
        %(blob_version)s::text[], %(blob_type)s::text[], %(blob_body)s::bytea[]
    )
    on conflict do nothing
), write as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select * from unnest(
        %(write_thread)s::text[], %(write_ns)s::text[], %(write_checkpoint)s::text[],
        %(write_task)s::text[], %(write_path)s::text[], %(write_idx)s::integer[],
        %(write_channel)s::text[], %(write_type)s::text[], %(write_body)s::bytea[]
    )
    on conflict do nothing
)
insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
select p.thread, p.ns, p.checkpoint, p.parent, p.body::jsonb, p.metadata::jsonb
from unnest(
    %(put_thread)s::text[], %(put_ns)s::text[], %(put_checkpoint)s::text[],
    %(put_parent)s::text[], %(put_body)s::text[], %(put_metadata)s::text[]
) as p (thread, ns, checkpoint, parent, body, metadata)
on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
    set checkpoint = excluded.checkpoint, metadata = excluded.metadata;

-- plain_run_flush: the same for workers, refused when one was removed or has no session any more, and for runs that end with it
with here as materialized (  -- whoever removes a worker waits until this is committed
    select w.worker_id from interlock.workers w where w.worker_id = any(%(fence)s::text[]) for key share
), blob as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select * from unnest(
        %(blob_thread)s::text[], %(blob_ns)s::text[], %(blob_channel)s::text[],
        %(blob_version)s::text[], %(blob_type)s::text[], %(blob_body)s::bytea[]
    )
    on conflict do nothing
), write as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select * from unnest(
        %(write_thread)s::text[], %(write_ns)s::text[], %(write_checkpoint)s::text[],
        %(write_task)s::text[], %(write_path)s::text[], %(write_idx)s::integer[],
        %(write_channel)s::text[], %(write_type)s::text[], %(write_body)s::bytea[]
    )
    on conflict do nothing
), put as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    select p.thread, p.ns, p.checkpoint, p.parent, p.body::jsonb, p.metadata::jsonb
    from unnest(
        %(put_thread)s::text[], %(put_ns)s::text[], %(put_checkpoint)s::text[],
        %(put_parent)s::text[], %(put_body)s::text[], %(put_metadata)s::text[]
    ) as p (thread, ns, checkpoint, parent, body, metadata)
    on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
        set checkpoint = excluded.checkpoint, metadata = excluded.metadata
), fenced as materialized (
    select case
        -- A lock that can be had is held by nobody: a look at all locks, as `interlock.lives`, takes longer than the rest.
        when count(*) filter (where not pg_try_advisory_xact_lock_shared(hashtextextended(h.worker_id, 7919)))
            < cardinality(%(fence)s::text[])
        then interlock.refuse_flush(count(*), cardinality(%(fence)s::text[]))
    end as present from here h
)
select f.present, case when cardinality(%(end_run)s::text[]) > 0 then interlock.finish_charged(
    %(end_run)s, %(end_attempt)s,
    %(charge_run)s, %(charge_kind)s, %(charge_name)s, %(charge_steps)s, %(charge_seconds)s, false
) else '{}' end as ended from fenced f;

-- fenced_flush: as `flush` for workers: refused when one was removed or has no session any more
select interlock.fenced_flush(
    %(fence)s,
    %(seen)s::bigint,
    %(content_hash)s, %(content_kind)s, %(content_body)s,
    %(reference_holder)s, %(reference_hash)s,
    %(blob_thread)s, %(blob_ns)s, %(blob_channel)s, %(blob_version)s, %(blob_type)s, %(blob_body)s,
    %(write_thread)s, %(write_ns)s, %(write_checkpoint)s, %(write_task)s, %(write_path)s, %(write_idx)s,
    %(write_channel)s, %(write_type)s, %(write_body)s, %(write_over)s,
    %(put_thread)s, %(put_ns)s, %(put_checkpoint)s, %(put_parent)s, %(put_body)s, %(put_metadata)s
) as present, '{}'::text[] as ended;

-- ending_flush: the same where runs end with what is saved; returns that, and the runs that have ended
select present, ended from interlock.ending_flush(
    %(fence)s,
    %(seen)s::bigint,
    %(content_hash)s, %(content_kind)s, %(content_body)s,
    %(reference_holder)s, %(reference_hash)s,
    %(blob_thread)s, %(blob_ns)s, %(blob_channel)s, %(blob_version)s, %(blob_type)s, %(blob_body)s,
    %(write_thread)s, %(write_ns)s, %(write_checkpoint)s, %(write_task)s, %(write_path)s, %(write_idx)s,
    %(write_channel)s, %(write_type)s, %(write_body)s, %(write_over)s,
    %(put_thread)s, %(put_ns)s, %(put_checkpoint)s, %(put_parent)s, %(put_body)s, %(put_metadata)s,
    %(end_run)s, %(end_attempt)s,
    %(charge_run)s, %(charge_kind)s, %(charge_name)s, %(charge_steps)s, %(charge_seconds)s
);

-- sweeps: which holders lost references after a generation, oldest first
select generation, holder from checkpoint_sweeps where generation > %(seen)s order by generation;

-- sessions: this session, and of some others those that the server still has; each by a name that is not used again
select s.name from (
    select pid, pid || '@' || extract(epoch from backend_start) as name
    from pg_stat_get_activity(null) -- what pg_stat_activity joins names to, which takes twice as long to plan
) s where s.pid = pg_backend_pid() or s.name = any(%(known)s);

-- content: what stands under some hashes
select hash, kind, body from checkpoint_content where hash = any(%(hashes)s);

-- tuples: checkpoints with the rows of their channels' values and of what their tasks wrote; conditions follow
select c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata,
    b.channels, b.types, b.bodies, w.tasks, w.paths, w.numbers, w.written, w.kinds, w.values
from checkpoints c
cross join lateral (
    select array_agg(bl.channel) as channels, array_agg(bl.type) as types, array_agg(bl.blob) as bodies
    from jsonb_each_text(c.checkpoint -> 'channel_versions') as v (channel, version)
    cross join lateral (
        select each.channel, each.type, each.blob from checkpoint_blobs each
        where each.thread_id = c.thread_id and each.checkpoint_ns = c.checkpoint_ns
            and each.channel = v.channel and each.version = v.version
        limit 1 -- by its key: a join is planned from estimates, and reads all values of the thread each time
    ) bl
) b
cross join lateral (
    select array_agg(cw.task_id) as tasks, array_agg(cw.task_path) as paths, array_agg(cw.idx) as numbers,
        array_agg(cw.channel) as written, array_agg(cw.type) as kinds, array_agg(cw.blob) as values
    from checkpoint_writes cw
    where cw.thread_id = c.thread_id and cw.checkpoint_ns = c.checkpoint_ns and cw.checkpoint_id = c.checkpoint_id
) w;

-- newest: the condition of `tuples` for one checkpoint: the latest of its thread unless it is named
where c.thread_id = %(thread_id)s and c.checkpoint_ns = %(checkpoint_ns)s and c.checkpoint_id = coalesce(
    %(checkpoint_id)s::text,
    (select max(l.checkpoint_id) from checkpoints l where l.thread_id = %(thread_id)s and l.checkpoint_ns = %(checkpoint_ns)s)
);

-- sends: what tasks of some checkpoints sent to the next step, where checkpoints are of a format before the fourth
select checkpoint_ns, checkpoint_id, task_path, task_id, idx, type, blob from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_id = any(%(parents)s) and channel = %(channel)s;

-- key: the secret with which content is named where values are encrypted
select cipher, sealed from checkpoint_keys where id = 0;

-- make_key: keep a secret, unless there is one
insert into checkpoint_keys (id, cipher, sealed) values (0, %(cipher)s, %(sealed)s) on conflict do nothing;

-- renew_key: keep the secret as the present key encrypts it
update checkpoint_keys set cipher = %(cipher)s, sealed = %(sealed)s where id = 0;

-- begin_sweeps: say that holders will lose references; writers then forget what they had stored for them
insert into checkpoint_sweeps (holder) select * from unnest(%(holders)s::text[]) returning generation;

-- take_turns: wait until no one else sweeps the same threads, until the end of the transaction
select pg_advisory_xact_lock(510546119, turn) from (select distinct hashtext(holder) as turn from unnest(%(holders)s::text[]) as h (holder) order by 1) as turns;

-- shut: let no one save what refers to content until the end of the transaction
select pg_advisory_xact_lock(510546118);

-- share: let no content be deleted until the end of the transaction
select pg_advisory_xact_lock_shared(510546118);

-- old_sweeps: leave out sweeps that no writer can have missed
delete from checkpoint_sweeps where swept_at < now() - interval '1 day' and generation < %(generation)s;

-- unused: let a thread go of content that none of its rows refers to; of what was saved since the sweep began, nothing
with recursive live (hash) as (
    select l.hash from (
        select b.blob as body from checkpoint_blobs b where b.thread_id = %(holder)s and split_part(b.type, '+', 1) = 'segments'
        union all
        select w.blob from checkpoint_writes w where w.thread_id = %(holder)s and split_part(w.type, '+', 1) = 'segments'
    ) as rows cross join lateral checkpoint_links(rows.body) as l (hash)
    union
    select l.hash from live
    join checkpoint_content c on c.hash = live.hash and c.kind & 15 = 1
    cross join lateral checkpoint_links(c.body) as l (hash)
), unused as (
    select r.hash from checkpoint_references r
    where r.holder = %(holder)s and r.kind = 0 and r.generation < %(generation)s
        and not exists (select from live where live.hash = r.hash)
    order by r.hash for update of r
)
delete from checkpoint_references r using unused
where r.holder = %(holder)s and r.kind = 0 and r.hash = unused.hash
returning r.hash;

-- delete_threads: delete all rows of threads; of their references, those from before the sweep began
with checkpoint as (
    delete from checkpoints where thread_id = any(%(holders)s)
), blob as (
    delete from checkpoint_blobs where thread_id = any(%(holders)s)
), write as (
    delete from checkpoint_writes where thread_id = any(%(holders)s)
), unused as (
    select holder, hash from checkpoint_references
    where holder = any(%(holders)s) and kind = 0 and generation < %(generation)s
    order by holder, hash for update
)
delete from checkpoint_references r using unused
where r.holder = unused.holder and r.kind = 0 and r.hash = unused.hash
returning r.hash;

-- delete_content: delete content that nobody refers to; nobody may save meanwhile
delete from checkpoint_content c
where c.hash = any(%(hashes)s) and not exists (select from checkpoint_references r where r.hash = c.hash)
returning octet_length(c.body) as bytes;

-- stray_content: content that nobody refers to, after a hash
select c.hash from checkpoint_content c
where c.hash > %(after)s and not exists (select from checkpoint_references r where r.hash = c.hash)
order by c.hash limit %(limit)s;

-- stray_holders: threads that refer to content and have no rows
select distinct r.holder from checkpoint_references r
where r.kind = 0 and not exists (select from checkpoint_blobs b where b.thread_id = r.holder)
    and not exists (select from checkpoint_writes w where w.thread_id = r.holder);

-- delete_runs: delete the checkpoints of some runs, with what their tasks wrote; checkpoints after them have no parent then
with gone as (
    delete from checkpoints where metadata ->> 'run_id' = any(%(runs)s) returning thread_id, checkpoint_ns, checkpoint_id
), written as (
    delete from checkpoint_writes w using gone
    where w.thread_id = gone.thread_id and w.checkpoint_ns = gone.checkpoint_ns and w.checkpoint_id = gone.checkpoint_id
), parted as (
    update checkpoints c set parent_checkpoint_id = null from gone
    where c.thread_id = gone.thread_id and c.checkpoint_ns = gone.checkpoint_ns and c.parent_checkpoint_id = gone.checkpoint_id
        and coalesce(c.metadata ->> 'run_id', '') <> all(%(runs)s)
)
select distinct thread_id from gone;

-- delete_blobs: delete a thread's values that no checkpoint of it has
with used as materialized (
    select distinct c.checkpoint_ns, v.channel, v.version
    from checkpoints c cross join lateral jsonb_each_text(c.checkpoint -> 'channel_versions') as v (channel, version)
    where c.thread_id = %(holder)s
)
delete from checkpoint_blobs b
where b.thread_id = %(holder)s and not exists (
    select from used where used.checkpoint_ns = b.checkpoint_ns and used.channel = b.channel and used.version = b.version
);

-- copy_thread: copy all rows of a thread to another one, in one snapshot
with checkpoint as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    select %(target)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    from checkpoints where thread_id = %(source)s
), blob as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(target)s, checkpoint_ns, channel, version, type, blob from checkpoint_blobs where thread_id = %(source)s
), write as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
    select %(target)s, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
    from checkpoint_writes where thread_id = %(source)s
)
insert into checkpoint_references (holder, kind, hash, generation)
select %(target)s, 0, hash, generation from checkpoint_references where holder = %(source)s and kind = 0
on conflict do nothing;

-- referring_blobs: some of a thread's values that refer to content
select checkpoint_ns, channel, version, type, blob from checkpoint_blobs
where thread_id = %(holder)s and split_part(type, '+', 1) = 'segments' limit %(limit)s;

-- replace_blob: store a value as a whole in its row
update checkpoint_blobs set type = %(type)s, blob = %(blob)s
where thread_id = %(holder)s and checkpoint_ns = %(checkpoint_ns)s and channel = %(channel)s and version = %(version)s;

-- referring_writes: some of what a thread's tasks wrote that refers to content
select checkpoint_ns, checkpoint_id, task_id, idx, type, blob from checkpoint_writes
where thread_id = %(holder)s and split_part(type, '+', 1) = 'segments' limit %(limit)s;

-- replace_write: store what a task wrote as a whole in its row
update checkpoint_writes set type = %(type)s, blob = %(blob)s
where thread_id = %(holder)s and checkpoint_ns = %(checkpoint_ns)s and checkpoint_id = %(checkpoint_id)s
    and task_id = %(task_id)s and idx = %(idx)s;
