-- unfinished: threads that are at a run that has not ended, by the number of that run
select r.*, t.lineage, interlock.chain(r.run_id) as chain,
    coalesce((select v.schema_version from interlock.input_versions v where v.run_id = r.run_id), 1) as schema_version
from interlock.runs r join interlock.threads t using (thread_id)
where r.number > %(after)s and r.status not in ('succeeded', 'cancelled') and t.purpose <> 'replay'
    and (%(graph)s::text is null or r.graph = %(graph)s)
    and r.run_id = interlock.present_run(r.thread_id)
order by r.number limit %(limit)s;

-- count_unfinished: how many there are
select count(*)::int as count from interlock.runs r join interlock.threads t using (thread_id)
where r.status not in ('succeeded', 'cancelled') and t.purpose <> 'replay'
    and (%(graph)s::text is null or r.graph = %(graph)s)
    and r.run_id = interlock.present_run(r.thread_id);

-- queued: runs that wait behind the one that their thread is at, and have not begun
select r.*, t.lineage, interlock.chain(r.run_id) as chain,
    coalesce((select v.schema_version from interlock.input_versions v where v.run_id = r.run_id), 1) as schema_version
from interlock.runs r join interlock.threads t using (thread_id)
where r.number > %(after)s and r.status = 'queued' and r.kind = 'invoke' and r.attempts = 0 and t.purpose <> 'replay'
    and (%(graph)s::text is null or r.graph = %(graph)s)
    and r.run_id <> interlock.present_run(r.thread_id)
order by r.number limit %(limit)s;

-- heads: the latest checkpoints of some threads' graphs, and those of the subgraphs that were begun from them
with latest as (
    select distinct on (thread_id, checkpoint_ns) thread_id, checkpoint_ns, checkpoint_id, metadata from checkpoints
    where thread_id = any(%(thread_ids)s) order by thread_id, checkpoint_ns, checkpoint_id desc
)
select l.thread_id, l.checkpoint_ns as namespace, l.checkpoint_id
from latest l left join latest root on root.thread_id = l.thread_id and root.checkpoint_ns = ''
where l.checkpoint_ns = '' or l.metadata -> 'parents' ->> '' = root.checkpoint_id
order by l.thread_id, l.checkpoint_ns;

-- asked: what questions of some threads ask that are open, or whose answer waits to be used
select thread_id, payload from interlock.questions
where thread_id = any(%(thread_ids)s) and (status = 'open' or answered_run = any(%(run_ids)s))
order by number;

-- known_blobs: which of some blobs are stored
select digest from interlock.blobs where digest = any(%(digests)s);

-- called: what tasks at a checkpoint have called by `@task` and wrote, with LangGraph's paths: the caller's is in them
select distinct task_id, task_path as path from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_ns = %(namespace)s and checkpoint_id = %(checkpoint_id)s
    and starts_with(task_path, '~__pregel_push, ~');
