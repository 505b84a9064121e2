-- try_thread: hold a thread until the end of this transaction, unless a run holds it
select pg_try_advisory_xact_lock(hashtextextended(%(thread_id)s, %(seed)s)) as locked;

-- shut_out: until the end of this transaction nobody begins a fork of a thread; those who began are waited for
select pg_advisory_xact_lock(hashtextextended(%(thread_id)s, %(seed)s));

-- stay: until the end of this transaction nothing of a thread is folded
select pg_advisory_xact_lock_shared(hashtextextended(%(thread_id)s, %(seed)s));

-- prunable_threads: threads with checkpoints, in order of their ids
select t.thread_id from interlock.threads t
where t.thread_id > %(after)s and exists (select from checkpoints c where c.thread_id = t.thread_id)
order by t.thread_id limit %(limit)s;

-- stands: where the checkpoints of a thread stand
select checkpoint_ns as namespace, checkpoint_id, coalesce(parent_checkpoint_id, '') as parent_id,
    coalesce(metadata -> 'parents', '{}') as parents, coalesce(metadata ->> 'source', '') as source,
    coalesce((checkpoint ->> 'v')::int, 1) as version,
    coalesce((metadata ->> 'schema_version')::int, 1) as schema, (checkpoint ->> 'ts')::timestamptz as at
from checkpoints where thread_id = %(thread_id)s;

-- pins: checkpoints of a thread that something points to, with the reason
select w.checkpoint_ns as namespace, w.checkpoint_id, 'question' as reason
from checkpoint_writes w where w.thread_id = %(thread_id)s and w.channel = '__interrupt__'
union
select c.checkpoint_ns, c.checkpoint_id, 'question'
from interlock.questions q join checkpoints c on c.thread_id = q.thread_id and c.checkpoint_id = q.payload -> 'question' ->> 'checkpoint_id'
where q.thread_id = %(thread_id)s
union
select c.checkpoint_ns, c.checkpoint_id, 'fork'
from interlock.threads t join checkpoints c on c.checkpoint_id = t.parent_checkpoint_id
where c.thread_id = %(thread_id)s
union  -- the step that came of the one inside of which a fork began
select after.checkpoint_ns, after.checkpoint_id, 'fork'
from interlock.threads t
join checkpoints c on c.checkpoint_id = t.parent_checkpoint_id and c.checkpoint_ns <> ''
join checkpoints after on after.thread_id = c.thread_id and after.checkpoint_ns = ''
    and after.parent_checkpoint_id = c.metadata -> 'parents' ->> ''
where c.thread_id = %(thread_id)s
union
select c.checkpoint_ns, c.checkpoint_id, 'effect'
from interlock.effects e join checkpoints c on c.thread_id = e.thread_id and c.checkpoint_id = e.checkpoint_id
where e.thread_id = %(thread_id)s and not e.reads
union
select c.checkpoint_ns, c.checkpoint_id, 'refusal'
from interlock.refusals r join checkpoints c on c.thread_id = r.thread_id and c.checkpoint_id = r.checkpoint_id
where r.thread_id = %(thread_id)s
union
select c.checkpoint_ns, c.checkpoint_id, 'recorded call'
from interlock.recordings r join checkpoints c on c.thread_id = r.thread_id and c.checkpoint_id = r.checkpoint_id
where %(calls)s and r.thread_id = %(thread_id)s
union
select c.checkpoint_ns, c.checkpoint_id, 'recorded call'
from interlock.effects e join checkpoints c on c.thread_id = e.thread_id and c.checkpoint_id = e.checkpoint_id
where %(calls)s and e.thread_id = %(thread_id)s and e.reads;

-- tasks: which tasks ran from the checkpoints of a thread
select distinct checkpoint_ns as namespace, checkpoint_id, task_id, task_path from checkpoint_writes
where thread_id = %(thread_id)s and task_path <> '';

-- deltas: namespaces of a thread where values are rebuilt from what was written before
select distinct checkpoint_ns as namespace from checkpoints c
where thread_id = %(thread_id)s and (
    metadata ? 'counters_since_delta_snapshot' or metadata ? 'delta_writes_versioned'
    or exists (
        select from jsonb_each(c.checkpoint -> 'channel_values') as v
        join checkpoint_blobs b on b.thread_id = c.thread_id and b.checkpoint_ns = c.checkpoint_ns
            and b.channel = v.key and b.version = c.checkpoint -> 'channel_versions' ->> v.key
        where v.value = 'true'
    )
);

-- sew: make a kept checkpoint the next one after another kept one
update checkpoints
set parent_checkpoint_id = nullif(%(parent_id)s, ''),
    metadata = metadata || jsonb_build_object('parents', %(parents)s::jsonb) || %(folded)s::jsonb
where thread_id = %(thread_id)s and checkpoint_ns = %(namespace)s and checkpoint_id = %(checkpoint_id)s;

-- folded_before: what had been folded into some checkpoints of a thread earlier
select checkpoint_ns as namespace, checkpoint_id, metadata -> 'folded' as folded from checkpoints
where thread_id = %(thread_id)s and metadata ? 'folded';

-- keep_tasks: a kept checkpoint takes over the tasks of those that are folded into it, as far as model calls are counted for them
insert into interlock.folded_tasks (thread_id, checkpoint_ns, checkpoint_id, task_id)
select %(thread_id)s, %(namespace)s, %(checkpoint_id)s, task_id from (
    select w.task_id from checkpoint_writes w
    where w.thread_id = %(thread_id)s and w.checkpoint_ns = %(namespace)s and w.checkpoint_id = any(%(takes)s)
    union
    select f.task_id from interlock.folded_tasks f
    where f.thread_id = %(thread_id)s and f.checkpoint_ns = %(namespace)s and f.checkpoint_id = any(%(takes)s)
) as taken
where task_id in (select m.task_id from interlock.model_calls m where m.thread_id = %(thread_id)s)
on conflict do nothing;

-- fold: take away checkpoints of a thread, and what their tasks wrote
with gone as (
    select * from unnest(%(namespaces)s::text[], %(checkpoints)s::text[]) as g (namespace, checkpoint_id)
), writes as (
    delete from checkpoint_writes w using gone g
    where w.thread_id = %(thread_id)s and w.checkpoint_ns = g.namespace and w.checkpoint_id = g.checkpoint_id
), tasks as (
    delete from interlock.folded_tasks f using gone g
    where f.thread_id = %(thread_id)s and f.checkpoint_ns = g.namespace and f.checkpoint_id = g.checkpoint_id
)
delete from checkpoints c using gone g
where c.thread_id = %(thread_id)s and c.checkpoint_ns = g.namespace and c.checkpoint_id = g.checkpoint_id;

-- drop_values: take away values that no checkpoint of a thread has any more
with used as materialized (
    select distinct c.checkpoint_ns, v.key as channel, v.value as version
    from checkpoints c cross join lateral jsonb_each_text(c.checkpoint -> 'channel_versions') as v
    where c.thread_id = %(thread_id)s
)
delete from checkpoint_blobs b where b.ctid = any(array(
    select old.ctid from checkpoint_blobs old
    left join used u on u.checkpoint_ns = old.checkpoint_ns and u.channel = old.channel and u.version = old.version
    where old.thread_id = %(thread_id)s and u.channel is null limit %(limit)s
));

-- count_folding: note that something of a thread was folded
insert into interlock.foldings (thread_id) values (%(thread_id)s)
on conflict (thread_id) do update set number = foldings.number + 1, folded_at = now();

-- thread_size: checkpoints of a thread, and the bytes of their rows, values, writes and content; shared content counts whole
select (select count(*)::int from checkpoints where thread_id = %(thread_id)s) as checkpoints, (
    (select coalesce(sum(pg_column_size(c.*)), 0) from checkpoints c where thread_id = %(thread_id)s)
    + (select coalesce(sum(pg_column_size(b.*)), 0) from checkpoint_blobs b where thread_id = %(thread_id)s)
    + (select coalesce(sum(pg_column_size(w.*)), 0) from checkpoint_writes w where thread_id = %(thread_id)s)
    + (select coalesce(sum(pg_column_size(c.*)), 0) from checkpoint_references r join checkpoint_content c using (hash)
       where r.holder = %(thread_id)s and r.kind = 0)
)::bigint as bytes;

-- rows_size: the bytes of some checkpoints of a thread, with what their tasks wrote
select coalesce(sum(pg_column_size(c.*) + coalesce((
    select sum(pg_column_size(w.*)) from checkpoint_writes w
    where w.thread_id = c.thread_id and w.checkpoint_ns = c.checkpoint_ns and w.checkpoint_id = c.checkpoint_id
), 0)), 0)::bigint as bytes
from checkpoints c
join unnest(%(namespaces)s::text[], %(checkpoints)s::text[]) as g (namespace, checkpoint_id)
    on c.checkpoint_ns = g.namespace and c.checkpoint_id = g.checkpoint_id
where c.thread_id = %(thread_id)s;

-- tables: what each of our tables takes, with its indexes, by what it is for
select purpose, sum(pg_total_relation_size(c.oid))::bigint as bytes, sum(greatest(c.reltuples, 0))::bigint as rows
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (select case
    when c.relname in ('checkpoints', 'checkpoint_blobs', 'checkpoint_writes') then c.relname
    when c.relname like 'checkpoint\_%%' then 'checkpoint_content'
    when c.relname in ('effects', 'refusals') then 'ledger'
    when c.relname in ('recordings') then 'recordings'
    when c.relname in ('questions', 'question_events', 'notifications') then 'questions'
    when c.relname in ('blobs', 'blob_pieces', 'blob_uploads', 'blob_names') then 'blobs'
    when c.relname in ('store', 'store_vectors', 'store_migrations', 'vector_migrations') then 'store'
    when c.relname in ('streams', 'stream_events') then 'streams'
    when c.relname in ('outcomes', 'judgements') then 'outcomes'
    when c.relname = 'audit' then 'audit'
    when c.relname in ('model_calls', 'budgets', 'budget_entries') then 'budgets'
    when c.relname in ('webhooks') then 'webhooks'
    when c.relname in ('letters') then 'letters'
    when c.relname in ('threads', 'thread_cards', 'foldings', 'folded_tasks', 'holding_graphs') then 'threads'
    when c.relname in (
        'runs', 'run_events', 'run_options', 'run_cards', 'run_transitions', 'input_versions', 'queue', 'stop_orders', 'standings'
    ) then 'runs'
    when c.relname in ('documents', 'passages', 'passage_vectors', 'files', 'collections', 'collection_documents', 'collection_lexemes', 'answers') then 'documents'
    else 'other' end) as p (purpose)
where c.relkind = 'r' and (n.oid = (select t.relnamespace from pg_class t where t.oid = to_regclass('interlock.threads')) or c.oid in (
    to_regclass('checkpoints'), to_regclass('checkpoint_blobs'), to_regclass('checkpoint_writes'), to_regclass('checkpoint_content'),
    to_regclass('checkpoint_references'), to_regclass('checkpoint_sweeps'), to_regclass('checkpoint_keys'), to_regclass('checkpoint_migrations'),
    to_regclass('store'), to_regclass('store_vectors'), to_regclass('store_migrations'), to_regclass('vector_migrations')
))
group by purpose order by bytes desc;

-- counts: how much of it there is
select (select count(*)::int from interlock.threads) as threads, (select count(*)::int from checkpoints) as checkpoints,
    (select count(*)::int from interlock.blobs) as blobs, (select coalesce(sum(size), 0)::bigint from interlock.blobs) as blob_bytes;
