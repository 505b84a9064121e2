-- places: where the checkpoints of a thread stand, those of its subgraphs too
select checkpoint_ns as namespace, checkpoint_id, coalesce(parent_checkpoint_id, '') as parent_id,
    coalesce(metadata -> 'parents', '{}') as parents
from checkpoints where thread_id = %(thread_id)s;

-- share_content: let no content be deleted until the end of the transaction
select pg_advisory_xact_lock_shared(510546118);

-- copy: copy some checkpoints to another thread, in one snapshot: their values, and what tasks wrote after them; where tasks are still to run, neither questions nor answers
with taken as (
    select * from unnest(%(namespaces)s::text[], %(checkpoints)s::text[], %(extents)s::text[]) as t (namespace, checkpoint_id, extent)
), own as (
    select c.* from checkpoints c
    join taken on c.checkpoint_ns = taken.namespace and c.checkpoint_id = taken.checkpoint_id
    where c.thread_id = %(thread_id)s
), checkpoint as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    select %(to_thread_id)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata from own
), used as (
    select distinct own.checkpoint_ns, v.channel, v.version
    from own cross join lateral jsonb_each_text(own.checkpoint -> 'channel_versions') as v (channel, version)
), value as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(to_thread_id)s, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
    from used join checkpoint_blobs b
        on b.thread_id = %(thread_id)s and b.checkpoint_ns = used.checkpoint_ns and b.channel = used.channel and b.version = used.version
    on conflict do nothing
), write as (
    insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
    select %(to_thread_id)s, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx, w.channel, w.type, w.blob, w.task_path
    from checkpoint_writes w
    join taken on w.checkpoint_ns = taken.namespace and w.checkpoint_id = taken.checkpoint_id
    where w.thread_id = %(thread_id)s and (taken.extent = 'whole' or (
        taken.extent = 'open' and w.channel not in ('__interrupt__', '__resume__') and w.task_id <> all(%(redone)s)
    ))
)
insert into checkpoint_references (holder, kind, hash, generation)
select %(to_thread_id)s, 0, hash, generation from checkpoint_references where holder = %(thread_id)s and kind = 0
on conflict do nothing;

-- changes: what a fork had changed at a checkpoint before its tasks ran
select channel, type, blob from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_ns = %(namespace)s and checkpoint_id = %(checkpoint_id)s
    and task_id = %(null_task)s and channel not in ('__interrupt__', '__resume__') and channel <> all(%(replaced)s)
order by idx;

-- change: change the state at a checkpoint; LangGraph applies what no task wrote before it runs any
insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
values (%(thread_id)s, %(namespace)s, %(checkpoint_id)s, %(null_task)s, %(idx)s, %(channel)s, %(type)s, %(blob)s, '');

-- has_head: whether a fork has the checkpoint that it begins at
select checkpoint_id from checkpoints
where thread_id = %(thread_id)s and checkpoint_ns = %(namespace)s and checkpoint_id = %(checkpoint_id)s;

-- ancestors: a thread, its parent, and so on; each with the steps of its parent between which it was forked
with recursive line as (
    select t.*, 0 as depth from interlock.threads t where t.thread_id = %(thread_id)s
    union all
    select p.*, line.depth + 1 from interlock.threads p join line on p.thread_id = line.parent_thread_id
)
select line.thread_id, line.parent_checkpoint_id, coalesce(step.began, '') as began, coalesce(
    case when step.inside then (
        select min(following.checkpoint_id) from checkpoints following
        where following.thread_id = line.parent_thread_id and following.checkpoint_ns = '' and following.parent_checkpoint_id = step.began
    ) else step.began end, ''
) as until
from line
left join lateral (
    select coalesce(c.metadata -> 'parents' ->> '', c.checkpoint_id) as began, c.checkpoint_ns <> '' as inside
    from checkpoints c where c.thread_id = line.parent_thread_id and c.checkpoint_id = line.parent_checkpoint_id limit 1
) step on true
order by line.depth;

-- tree: the root-most ancestor of a thread and all that was forked from it, parents before children
with recursive up as (
    select thread_id, parent_thread_id from interlock.threads where thread_id = %(thread_id)s
    union all
    select p.thread_id, p.parent_thread_id from interlock.threads p join up on p.thread_id = up.parent_thread_id
), down as (
    select t.*, 0 as depth from interlock.threads t
    where t.thread_id = (
        select thread_id from up
        where not exists (select from interlock.threads p where p.thread_id = up.parent_thread_id)
    )
    union all
    select t.*, down.depth + 1 from interlock.threads t join down on t.parent_thread_id = down.thread_id
)
select down.thread_id, down.parent_thread_id, down.parent_checkpoint_id, down.purpose, down.title, down.created_at,
    coalesce(run.status, '') as status, step.number as forked_at, coalesce(step.namespace, '') as forked_inside,
    (select count(*)::int from interlock.effects e where e.thread_id = down.thread_id and e.status = 'done' and e.source is null and not e.reads) as effects,
    (select coalesce(sum(m.input_tokens + m.output_tokens), 0)::int from interlock.model_calls m where m.thread_id = down.thread_id) as tokens
from down
left join interlock.runs run on run.run_id = interlock.present_run(down.thread_id)
left join lateral (
    select (c.metadata ->> 'step')::int as number, c.checkpoint_ns as namespace
    from checkpoints c where c.thread_id = down.parent_thread_id and c.checkpoint_id = down.parent_checkpoint_id limit 1
) step on true
order by down.depth, down.created_at, down.thread_id;

-- effects_behind: effects of a thread that were done before another one parted from it: what came of their step, both have
with recursive shared as (
    select own.checkpoint_ns, own.checkpoint_id, own.parent_checkpoint_id
    from checkpoints own
    join checkpoints other on other.checkpoint_ns = own.checkpoint_ns and other.checkpoint_id = own.checkpoint_id
    where own.thread_id = %(thread_id)s and other.thread_id = %(other)s
), behind as (  -- of either thread some checkpoints may have been folded, so also those that lead to shared ones
    select checkpoint_ns, parent_checkpoint_id from shared
    union
    select c.checkpoint_ns, c.parent_checkpoint_id
    from behind b join checkpoints c on c.thread_id = %(thread_id)s and c.checkpoint_ns = b.checkpoint_ns
        and c.checkpoint_id = b.parent_checkpoint_id
)
select e.key from interlock.effects e
where e.thread_id = %(thread_id)s and (
    exists (select from behind where parent_checkpoint_id = e.checkpoint_id)
    or (  -- its step was folded
        not exists (select from checkpoints c where c.thread_id = %(thread_id)s and c.checkpoint_id = e.checkpoint_id)
        and e.checkpoint_id collate "C" < (select max(checkpoint_id collate "C") from shared)
    )
);

-- foldings: how often something of a thread was folded
select coalesce((select number from interlock.foldings where thread_id = %(thread_id)s), 0) as number;

-- folded_tasks: which tasks' work the checkpoints of a thread took over
select checkpoint_id, task_id from interlock.folded_tasks where thread_id = %(thread_id)s;
