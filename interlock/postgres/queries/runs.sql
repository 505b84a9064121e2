-- open_thread: make a thread, or leave the one that exists
insert into interlock.threads (thread_id, graph, title, context, parent_thread_id, parent_checkpoint_id)
values (%(thread_id)s, %(graph)s, %(title)s, %(context)s, %(parent_thread_id)s, %(parent_checkpoint_id)s)
on conflict (thread_id) do nothing;

-- add_run: accept a run on a thread
insert into interlock.runs (run_id, thread_id, graph, kind, status, context, input_type, input, answers)
values (%(run_id)s, %(thread_id)s, %(graph)s, %(kind)s, 'queued', %(context)s, %(input_type)s, %(input)s, %(answers)s);

-- start_run: a process begins an attempt; no row means that the run went on since it was read
update interlock.runs
set status = 'running', attempts = attempts + 1, process = %(process)s, started_at = coalesce(started_at, now()), error = '', error_kind = '',
    context = %(context)s
where run_id = %(run_id)s and attempts = %(attempts)s and status in ('queued', 'running', 'failed');

-- end_run: a run ends, waits, or is handed back; no row means that another process has taken it on
update interlock.runs
set status = %(status)s, error = %(error)s, error_kind = %(error_kind)s, finished_at = case when %(status)s = 'queued' then null else now() end
where run_id = %(run_id)s and attempts = %(attempts)s and status = 'running';

-- touch_thread: note that something happened on a thread
update interlock.threads set updated_at = now() where thread_id = %(thread_id)s;

-- thread: one thread
select * from interlock.threads where thread_id = %(thread_id)s;

-- threads: the threads that something happened on lately, each with its latest run
select t.*, r.run_id, r.kind, r.status, r.attempts, r.error, r.error_kind
from interlock.threads t
left join lateral (select * from interlock.runs where thread_id = t.thread_id order by number desc limit 1) r on true
where %(graph)s::text is null or t.graph = %(graph)s
order by t.updated_at desc limit %(limit)s;

-- thread_by_prefix: the thread of this id, or those whose id starts with it; only generated ids may be abbreviated
select thread_id from interlock.threads
where thread_id = %(prefix)s or (starts_with(thread_id, %(prefix)s) and thread_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
order by thread_id <> %(prefix)s limit 3;

-- run: one run
select * from interlock.runs where run_id = %(run_id)s;

-- latest_run: the last run of a thread
select * from interlock.runs where thread_id = %(thread_id)s order by number desc limit 1;

-- add_model_call: note what a model call took
insert into interlock.model_calls (thread_id, run_id, task_id, node, model, input_tokens, output_tokens, cost, seconds)
values (%(thread_id)s, %(run_id)s, %(task_id)s, %(node)s, %(model)s, %(input_tokens)s, %(output_tokens)s, %(cost)s, %(seconds)s);

-- usage_by_task: what the model calls of a thread took, by task of its graph
select task_id, count(*)::int as calls, sum(input_tokens)::int as input_tokens, sum(output_tokens)::int as output_tokens,
    case when count(*) = count(cost) then sum(cost) end as cost, sum(seconds) as seconds
from interlock.model_calls where thread_id = %(thread_id)s group by task_id;

-- effects: what was done on a thread, oldest first
select * from interlock.effects where thread_id = %(thread_id)s order by intended_at;

-- begin_effect: write an intention; no row means that there is one already
insert into interlock.effects (key, thread_id, node, action, arguments)
values (%(key)s, %(thread_id)s, %(node)s, %(action)s, %(arguments)s)
on conflict (key) do nothing returning key;

-- effect: how an intention stands
select done, result from interlock.effects where key = %(key)s;

-- finish_effect: write the result of an act
update interlock.effects set done = true, result = %(result)s, finished_at = now() where key = %(key)s;

-- count_by_status: how many threads stand in each status, each by its latest run
select status, count(*)::int as count
from (select distinct on (thread_id) status from interlock.runs order by thread_id, number desc) as latest
group by status;

-- copy_checkpoints: copy a checkpoint and its ancestors, of the root graph, to another thread
with recursive line as (
    select checkpoint_id, parent_checkpoint_id from checkpoints
    where thread_id = %(thread_id)s and checkpoint_ns = '' and checkpoint_id = %(checkpoint_id)s
    union all
    select c.checkpoint_id, c.parent_checkpoint_id from checkpoints c join line on c.checkpoint_id = line.parent_checkpoint_id
    where c.thread_id = %(thread_id)s and c.checkpoint_ns = ''
)
insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
select %(to_thread_id)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
from checkpoints where thread_id = %(thread_id)s and checkpoint_ns = '' and checkpoint_id in (select checkpoint_id from line);

-- copy_blobs: copy the values that the copied checkpoints of a thread refer to
insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
select distinct on (b.channel, b.version) %(to_thread_id)s, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
from checkpoints c
cross join lateral jsonb_each_text(c.checkpoint -> 'channel_versions') as v (channel, version)
join checkpoint_blobs b
    on b.thread_id = %(thread_id)s and b.checkpoint_ns = '' and b.channel = v.channel and b.version = v.version
where c.thread_id = %(to_thread_id)s and c.checkpoint_ns = ''
on conflict do nothing;

-- copy_writes: copy what ran after each copied checkpoint but the last: a fork runs that step anew
insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
select %(to_thread_id)s, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx, w.channel, w.type, w.blob, w.task_path
from checkpoint_writes w
join checkpoints c on c.thread_id = %(to_thread_id)s and c.checkpoint_ns = '' and c.checkpoint_id = w.checkpoint_id
where w.thread_id = %(thread_id)s and w.checkpoint_ns = '' and w.checkpoint_id <> %(checkpoint_id)s;

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
