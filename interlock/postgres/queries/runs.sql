-- open_thread: make a thread, or leave the one that exists
insert into interlock.threads (thread_id, graph, title, context, parent_thread_id, parent_checkpoint_id, lineage, purpose)
values (%(thread_id)s, %(graph)s, %(title)s, %(context)s, %(parent_thread_id)s, %(parent_checkpoint_id)s, %(lineage)s, %(purpose)s)
on conflict (thread_id) do nothing;

-- take_graph: give a thread that has no graph that of its first run; of two at once the first one's
update interlock.threads set
    graph = case when graph = '' then %(graph)s else graph end,
    context = case when graph = '' then %(context)s::jsonb || context else context end,
    title = case when title = '' then %(title)s else title end
where thread_id = %(thread_id)s
returning graph;

-- waits: the run that a thread waits with, unless it goes on already; nothing begins or ends on it until the end of the transaction
with held as materialized (
    select thread_id from interlock.threads where thread_id = %(thread_id)s for no key update
)
select r.run_id, r.context from held h join interlock.runs r on r.run_id = interlock.last_run(h.thread_id)
where r.status = 'waiting' and not exists (
    select from interlock.runs o
    where o.thread_id = h.thread_id and (o.status = 'running' or (o.status = 'queued' and (o.attempts > 0 or o.kind = 'resume')))
);

-- yield_to_next: a run that takes the place of questions is next in the line: what its thread has come to wait for is withdrawn
select interlock.give_way(%(thread_id)s) from (
    select r.context from interlock.queue q join interlock.runs r using (run_id)
    where q.thread_id = %(thread_id)s and q.worker_id is null
    order by q.resumes desc, q.number limit 1
) next where next.context -> 'replaces_questions' = 'true';

-- continues: whether a thread has a checkpoint, or this one of them, to go on from, or is to have one
select exists (
    select from checkpoints where thread_id = %(thread_id)s and checkpoint_ns = '' and (%(checkpoint_id)s = '' or checkpoint_id = %(checkpoint_id)s)
) or (
    %(checkpoint_id)s = '' and exists (select from interlock.runs where thread_id = %(thread_id)s and status in ('queued', 'running'))
) as continues;

-- first_checkpoint: the first that some runs made on the graph of their thread; null for none
select min(checkpoint_id collate "C") as checkpoint_id from checkpoints
where thread_id = %(thread_id)s and checkpoint_ns = '' and metadata ->> 'run_id' = any(%(run_ids)s::text[]);

-- latest_checkpoint: the newest checkpoint of a thread's own graph
select checkpoint_id from checkpoints where thread_id = %(thread_id)s and checkpoint_ns = '' order by checkpoint_id desc limit 1;

-- add_run: accept a run on a thread
insert into interlock.runs (run_id, thread_id, graph, kind, status, context, input_type, input, answers)
values (%(run_id)s, %(thread_id)s, %(graph)s, %(kind)s, 'queued', %(context)s, %(input_type)s, %(input)s, %(answers)s);

-- note_version: note of which version of its schema a run's input is
insert into interlock.input_versions (run_id, schema_version) values (%(run_id)s, %(schema_version)s);

-- start: a process begins an attempt; false means that the run went on since it was read, or that it is killed
select interlock.start_run(%(run_id)s, %(attempts)s, %(process)s, %(context)s) as started,
    not exists (select from checkpoints where thread_id = %(thread_id)s) as fresh,
    %(kind)s = 'resume' or interlock.is_limited(%(run_id)s, %(thread_id)s, %(graph)s, %(tenant)s) as limited;

-- end: a run ends, waits, or is handed back; null means that another process, or another worker than the one named, has taken it on
select case when %(worker)s = '' or exists (select from interlock.queue q where q.run_id = %(run_id)s and q.worker_id = %(worker)s)
    then interlock.end_run(%(run_id)s, %(attempts)s, %(status)s, %(error)s, %(error_kind)s, %(requeue)s, %(detail)s) end as status;

-- thread: one thread
select * from interlock.threads where thread_id = %(thread_id)s;

-- threads: the threads that something happened on lately, each with the run that it is at
select t.*, r.run_id, r.kind, r.status, r.attempts, r.error, r.error_kind
from interlock.threads t
left join interlock.runs r on r.run_id = interlock.present_run(t.thread_id)
where %(graph)s::text is null or t.graph = %(graph)s
order by t.updated_at desc limit %(limit)s;

-- thread_by_prefix: the thread of this id, or those whose id starts with it; only generated ids may be abbreviated
select thread_id from interlock.threads
where thread_id = %(prefix)s or (starts_with(thread_id, %(prefix)s) and thread_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
order by thread_id <> %(prefix)s limit 3;

-- threads_of_runs: the threads of the runs whose id is, or starts with, this
select distinct thread_id from interlock.runs
where %(prefix)s <> '' and starts_with(run_id, %(prefix)s) limit 3;

-- run: one run
select r.*, t.lineage, interlock.chain(r.run_id) as chain,
    coalesce((select v.schema_version from interlock.input_versions v where v.run_id = r.run_id), 1) as schema_version
from interlock.runs r join interlock.threads t using (thread_id) where r.run_id = %(run_id)s;

-- is_run: whether a run of a thread is running
select exists (select from interlock.runs where thread_id = %(thread_id)s and status = 'running') as running;

-- present_run: the run that a thread is at
select r.*, t.lineage, interlock.chain(r.run_id) as chain,
    coalesce((select v.schema_version from interlock.input_versions v where v.run_id = r.run_id), 1) as schema_version
from interlock.runs r join interlock.threads t using (thread_id)
where r.run_id = interlock.present_run(%(thread_id)s);

-- add_model_call: note what a model call took
insert into interlock.model_calls (thread_id, run_id, task_id, node, model, input_tokens, output_tokens, cost, seconds)
values (%(thread_id)s, %(run_id)s, %(task_id)s, %(node)s, %(model)s, %(input_tokens)s, %(output_tokens)s, %(cost)s, %(seconds)s);

-- usage_by_task: what the model calls of a thread took, by task of its graph
select task_id, count(*)::int as calls, sum(input_tokens)::int as input_tokens, sum(output_tokens)::int as output_tokens,
    case when count(*) = count(cost) then sum(cost) end as cost, sum(seconds) as seconds
from interlock.model_calls where thread_id = %(thread_id)s group by task_id;

-- count_by_status: how many threads stand in each status, each by the run that it is at (as interlock.present_run, for all at once)
select status, count(*)::int as count from (
    select case
        when bool_or(r.status = 'running') then 'running'
        when bool_or(r.status = 'queued' and (r.attempts > 0 or r.kind = 'resume')) then 'queued'
        when last.status = 'waiting' then 'waiting'
        when bool_or(r.status = 'queued' and coalesce(o.start_at <= clock_timestamp(), true)) then 'queued'
        when last.status is not null then last.status
        when bool_or(r.status = 'queued') then 'queued'
        else max(r.status)
    end as status
    from interlock.runs r
    left join interlock.run_options o using (run_id)
    left join (
        select distinct on (thread_id) thread_id, status from interlock.runs
        where status not in ('queued', 'running') and (attempts > 0 or status <> 'cancelled') and error_kind <> 'RolledBack'
        order by thread_id, finished_at desc nulls last, number desc
    ) last using (thread_id)
    group by thread_id, last.status
) as threads group by status;

-- lock_thread: try to hold a thread for as long as this session lives
select pg_try_advisory_lock(hashtextextended(%(thread_id)s, %(seed)s)) as locked;

-- unlock_thread: let go of a thread
select pg_advisory_unlock(hashtextextended(%(thread_id)s, %(seed)s)) as unlocked;

-- alive: the session answers, so it still holds what it held
select true as alive;

-- locked_threads: which of some threads a session holds
select thread_id from unnest(%(thread_ids)s::text[]) as t (thread_id), hashtextextended(t.thread_id, %(seed)s) as key
where exists (
    select from pg_locks
    where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())
        and objsubid = 1 and classid = (key >> 32 & 4294967295)::oid and objid = (key & 4294967295)::oid
);
