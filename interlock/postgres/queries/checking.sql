-- unfinished: threads whose latest run has not ended, by the number of that run
select r.*, t.lineage, interlock.chain(r.run_id) as chain,
    coalesce((select v.schema_version from interlock.input_versions v where v.run_id = r.run_id), 1) as schema_version
from interlock.runs r join interlock.threads t using (thread_id)
where r.number > %(after)s and r.status not in ('succeeded', 'cancelled') and t.purpose <> 'replay'
    and (%(graph)s::text is null or r.graph = %(graph)s)
    and not exists (select from interlock.runs later where later.thread_id = r.thread_id and later.number > r.number)
order by r.number limit %(limit)s;

-- count_unfinished: how many there are
select count(*)::int as count from interlock.runs r join interlock.threads t using (thread_id)
where r.status not in ('succeeded', 'cancelled') and t.purpose <> 'replay'
    and (%(graph)s::text is null or r.graph = %(graph)s)
    and not exists (select from interlock.runs later where later.thread_id = r.thread_id and later.number > r.number);

-- heads: the latest checkpoint of a thread's graph, and those of the subgraphs that were begun from it
with latest as (
    select distinct on (checkpoint_ns) checkpoint_ns, checkpoint_id, metadata from checkpoints
    where thread_id = %(thread_id)s order by checkpoint_ns, checkpoint_id desc
)
select l.checkpoint_ns as namespace, l.checkpoint_id from latest l
where l.checkpoint_ns = '' or l.metadata -> 'parents' ->> '' = (select checkpoint_id from latest where checkpoint_ns = '')
order by l.checkpoint_ns;

-- asked: what questions of a thread ask that are open, or whose answer waits to be used
select payload from interlock.questions
where thread_id = %(thread_id)s and (status = 'open' or (answered_run <> '' and answered_run = %(run_id)s))
order by number;

-- known_blobs: which of some blobs are stored
select digest from interlock.blobs where digest = any(%(digests)s);
