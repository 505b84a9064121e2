-- named: the run of this id, or those whose id starts with it
select r.run_id from interlock.runs r where starts_with(r.run_id, %(name)s) order by r.run_id <> %(name)s limit 3;

-- at: the run that a thread is at
select interlock.present_run(%(thread_id)s) as run_id;

-- standing: how a run stands, or the one that goes on with it
select r.run_id, r.thread_id, r.graph, r.status, r.attempts, r.process, r.error, r.error_kind, coalesce(r.context ->> 'model', '') as model,
    r.created_at, r.started_at, r.finished_at, clock_timestamp() as at,
    q.run_id is not null as queued, coalesce(q.ready, false) as ready, coalesce(w.process, '') as worker,
    (select min(t.due_at) from interlock.timers t where t.run_id = r.run_id and t.state = 'set' and t.kind in ('start', 'wake', 'retry')) as due_at,
    coalesce((select o.kind from interlock.stop_orders o where o.run_id = r.run_id), '') as stopping,
    coalesce(calls.many, 0) as calls, coalesce(calls.seconds, 0) as calls_seconds,
    coalesce(waits.many, 0) as limited, coalesce(waits.name, '') as limited_by
from interlock.runs r
left join interlock.queue q on q.run_id = r.run_id
left join interlock.workers w on w.worker_id = q.worker_id
left join lateral (
    select count(*)::int as many, extract(epoch from clock_timestamp() - min(e.taken_at))::float8 as seconds
    from interlock.budget_entries e
    where r.status = 'running' and e.status = 'held' and e.kinds @> '{thread}' and e.names @> array[r.thread_id]
) calls on true
left join lateral (
    select count(*)::int as many, min(l.name) as name from interlock.rate_waits l where l.run_id = r.run_id
) waits on true
where r.run_id = interlock.goes_on_as(%(run_id)s);

-- happenings: what happened to a run and those before and after it in its line, behind a place; each with the snapshot of now
-- What was not visible in the snapshot `since`; where `rest` is asked for, only what was in the later one `until`, behind a key.
with recursive down (run_id) as (
    select %(run_id)s::text
    union all
    select o.run_id from down d join interlock.run_options o on o.base_run_id = d.run_id
), watched as materialized (
    select unnest(interlock.chain(%(run_id)s)) as run_id union select run_id from down
), span as materialized (  -- how old the transactions are that may matter: cheaper to look at than the snapshot, row by row
    select case when pg_snapshot_xmax(pg_current_snapshot())::text::bigint - oldest > 2147483000 then 2147483647
        else age((oldest & 4294967295)::text::xid) end as xids
    from (select pg_snapshot_xmin(%(since)s::pg_snapshot)::text::bigint as oldest) as n
), step as (
    select c.*, c.xmin as written, c.metadata ->> 'run_id' as run_id, (c.checkpoint ->> 'ts')::timestamptz as at, (p.checkpoint ->> 'ts')::timestamptz as before
    from checkpoints c
    left join checkpoints p on p.thread_id = c.thread_id and p.checkpoint_ns = '' and p.checkpoint_id = c.parent_checkpoint_id
    where c.thread_id = %(thread_id)s and c.checkpoint_ns = '' and c.checkpoint_id >= %(first_step)s
        and c.metadata ->> 'run_id' in (select run_id from watched)
        and (%(all)s or age(c.xmin) <= (select xids from span) and not interlock.was_visible(c.xmin, %(since)s::pg_snapshot))
), happened (key, kind, run_id, at, node, worker, told, detail) as (
    select 'run:' || e.id, e.kind, e.run_id, e.at, '', e.worker_id,
        %(rest)s and pg_visible_in_snapshot(e.transaction, %(until)s::pg_snapshot),
        e.detail || jsonb_build_object('process', coalesce((select w.process from interlock.workers w where w.worker_id = e.worker_id), ''))
    from interlock.run_events e
    where e.run_id in (select run_id from watched) and not pg_visible_in_snapshot(e.transaction, %(since)s::pg_snapshot)
    union all
    select 'step:' || s.checkpoint_id, 'step', s.run_id, s.at, '', '',
        %(rest)s and interlock.was_visible(s.written, %(until)s::pg_snapshot),
        jsonb_build_object(
            'step', (s.metadata ->> 'step')::int, 'source', s.metadata ->> 'source', 'checkpoint_id', s.checkpoint_id,
            'parent_id', coalesce(s.parent_checkpoint_id, ''), 'channels', coalesce(s.checkpoint -> 'updated_channels', '[]'),
            'seconds', coalesce(extract(epoch from s.at - s.before), 0), 'tasks', coalesce(ran.tasks, '[]'),
            'sent', coalesce((
                select jsonb_agg(v.key) from jsonb_each(s.checkpoint -> 'versions_seen') v
                where v.value = '{}' and v.key <> '__input__'
            ), '[]'),
            'tokens', coalesce(used.tokens, 0), 'calls', coalesce(used.calls, 0), 'cost', used.cost
        )
    from step s
    left join lateral (
        select jsonb_agg(distinct w.task_path) as tasks, array_agg(distinct w.task_id) as ids from checkpoint_writes w
        where w.thread_id = s.thread_id and w.checkpoint_ns = '' and w.checkpoint_id = s.parent_checkpoint_id
            and w.channel not in ('__error__', '__interrupt__', '__resume__', '__scheduled__')
    ) ran on true
    left join lateral (
        select sum(m.input_tokens + m.output_tokens)::bigint as tokens, count(*)::int as calls,
            case when count(*) = count(m.cost) then sum(m.cost) end as cost
        from interlock.model_calls m where m.thread_id = s.thread_id and m.task_id = any(ran.ids)
    ) used on true
    union all
    select 'call:' || m.id, 'model_call', m.run_id, m.called_at, m.node, '',
        %(rest)s and interlock.was_visible(m.xmin, %(until)s::pg_snapshot),
        jsonb_build_object(
            'model', m.model, 'input_tokens', m.input_tokens, 'output_tokens', m.output_tokens, 'cost', m.cost, 'seconds', m.seconds
        )
    from interlock.model_calls m
    where m.thread_id = %(thread_id)s and m.run_id in (select run_id from watched)
        and (%(all)s or age(m.xmin) <= (select xids from span) and not interlock.was_visible(m.xmin, %(since)s::pg_snapshot))
    union all
    select 'act:' || e.key || ':' || e.attempt || ':' || e.status, 'act', e.run_id, coalesce(e.finished_at, e.intended_at), e.node, '',
        %(rest)s and interlock.was_visible(e.xmin, %(until)s::pg_snapshot),
        jsonb_build_object(
            'effect', e.key, 'action', e.action, 'arguments', e.arguments, 'status', e.status, 'attempt', e.attempt, 'reads', e.reads,
            'seconds', extract(epoch from e.finished_at - e.intended_at), 'error', e.error, 'cost', e.cost, 'approval', e.approval,
            'agent', e.agent, 'source', e.source
        )
    from interlock.effects e
    where e.thread_id = %(thread_id)s and e.run_id in (select run_id from watched)
        and (%(all)s or age(e.xmin) <= (select xids from span) and not interlock.was_visible(e.xmin, %(since)s::pg_snapshot))
    union all
    select 'refused:' || r.number, 'refused', r.run_id, r.refused_at, r.node, '',
        %(rest)s and interlock.was_visible(r.xmin, %(until)s::pg_snapshot),
        jsonb_build_object(
            'action', r.action, 'arguments', r.arguments, 'why', r.kind, 'reason', r.reason, 'rule', r.rule, 'agent', r.agent
        )
    from interlock.refusals r
    where r.thread_id = %(thread_id)s and r.run_id in (select run_id from watched)
        and (%(all)s or age(r.xmin) <= (select xids from span) and not interlock.was_visible(r.xmin, %(since)s::pg_snapshot))
    union all
    select 'question:' || e.id, 'question', q.run_id, e.happened_at, q.node, '',
        %(rest)s and interlock.was_visible(e.xmin, %(until)s::pg_snapshot),
        e.detail || jsonb_build_object(
            'question', q.question_id, 'happened', e.kind, 'who', e.who,
            'action', coalesce(q.payload -> 'action_requests' -> 0 ->> 'name', '')
        )
    from interlock.questions q join interlock.question_events e using (question_id)
    where q.thread_id = %(thread_id)s and q.run_id in (select run_id from watched) and e.kind not in ('notified', 'not_notified')
        and (%(all)s or age(e.xmin) <= (select xids from span) and not interlock.was_visible(e.xmin, %(since)s::pg_snapshot))
    union all
    select 'limited:' || l.key || ':' || extract(epoch from l.since), 'limited', l.run_id, l.since, l.node, '', false,
        jsonb_build_object('name', l.name, 'why', l.why, 'model', l.model, 'until', l.until)
    from interlock.rate_waits l
    where l.run_id in (select run_id from watched)
        and (%(all)s or age(l.xmin) <= (select xids from span) and not interlock.was_visible(l.xmin, %(since)s::pg_snapshot))
)
select n.snapshot, h.*
from (select pg_current_snapshot()::text as snapshot) n
left join (
    select key, kind, run_id, at, node, worker, detail from happened
    where told = %(rest)s and (not told or (at, key) > (%(told_at)s::timestamptz, %(told_key)s::text))
) h on true
order by h.at, h.key;

-- hear: be told when a run has ended
listen interlock_ended;
