-- flush: save what many callers hand in, in one statement and one commit; returns null, or the generation that they did not know
select checkpoint_flush(
    %(seen)s::bigint,
    %(content_hash)s, %(content_kind)s, %(content_body)s,
    %(reference_holder)s, %(reference_hash)s,
    %(blob_thread)s, %(blob_ns)s, %(blob_channel)s, %(blob_version)s, %(blob_type)s, %(blob_body)s,
    %(write_thread)s, %(write_ns)s, %(write_checkpoint)s, %(write_task)s, %(write_path)s, %(write_idx)s,
    %(write_channel)s, %(write_type)s, %(write_body)s, %(write_over)s,
    %(put_thread)s, %(put_ns)s, %(put_checkpoint)s, %(put_parent)s, %(put_body)s, %(put_metadata)s
) as present;

-- sweeps: which holders lost references after a generation, oldest first
select generation, holder from checkpoint_sweeps where generation > %(seen)s order by generation;

-- content: what stands under some hashes
select hash, kind, body from checkpoint_content where hash = any(%(hashes)s);

-- tuples: checkpoints with the rows of their channels' values and of what their tasks wrote; conditions follow
select c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata,
    b.channels, b.types, b.bodies, w.tasks, w.paths, w.numbers, w.written, w.kinds, w.values
from checkpoints c
cross join lateral (
    select array_agg(bl.channel) as channels, array_agg(bl.type) as types, array_agg(bl.blob) as bodies
    from jsonb_each_text(c.checkpoint -> 'channel_versions') as v (channel, version)
    join checkpoint_blobs bl
        on bl.thread_id = c.thread_id and bl.checkpoint_ns = c.checkpoint_ns and bl.channel = v.channel and bl.version = v.version
) b
cross join lateral (
    select array_agg(cw.task_id) as tasks, array_agg(cw.task_path) as paths, array_agg(cw.idx) as numbers,
        array_agg(cw.channel) as written, array_agg(cw.type) as kinds, array_agg(cw.blob) as values
    from checkpoint_writes cw
    where cw.thread_id = c.thread_id and cw.checkpoint_ns = c.checkpoint_ns and cw.checkpoint_id = c.checkpoint_id
) w;

-- sends: what tasks of some checkpoints sent to the next step, where checkpoints are of a format before the fourth
select checkpoint_ns, checkpoint_id, task_path, task_id, idx, type, blob from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_id = any(%(parents)s) and channel = %(channel)s;

-- generation: the latest sweep
select coalesce(max(generation), 0) as generation from checkpoint_sweeps;

-- key: the secret with which content is named where values are encrypted
select cipher, sealed from checkpoint_keys where id = 0;

-- make_key: keep a secret, unless there is one
insert into checkpoint_keys (id, cipher, sealed) values (0, %(cipher)s, %(sealed)s) on conflict do nothing;
