-- run: one run as its client sees it; what was rolled back is not there
select r.run_id, r.thread_id, r.graph, r.kind, r.input_type, r.input, r.answers, r.created_at, e.error, e.error_kind,
    coalesce(e.finished_at, e.started_at, e.created_at) as updated_at, interlock.client_run_status(e.run_id, e.status) as status,
    c.assistant_id, c.metadata, c.kwargs, coalesce(o.multitask_strategy, 'reject') as multitask_strategy
from interlock.runs r
join interlock.runs e on e.run_id = case when r.status = 'waiting' then interlock.goes_on_awake(r.run_id) else r.run_id end
left join interlock.run_cards c on c.run_id = r.run_id
left join interlock.run_options o on o.run_id = r.run_id
where r.run_id = %(run_id)s and (%(thread_id)s::text is null or r.thread_id = %(thread_id)s) and r.error_kind <> 'RolledBack';

-- runs: those of a thread, newest first; what only goes on with another since it slept is part of that
select * from (
    select r.run_id, r.thread_id, r.graph, r.kind, r.input_type, r.input, r.answers, r.created_at, e.error, e.error_kind,
        coalesce(e.finished_at, e.started_at, e.created_at) as updated_at, interlock.client_run_status(e.run_id, e.status) as status,
        c.assistant_id, c.metadata, c.kwargs, coalesce(o.multitask_strategy, 'reject') as multitask_strategy, r.number
    from interlock.runs r
    join interlock.runs e on e.run_id = case when r.status = 'waiting' then interlock.goes_on_awake(r.run_id) else r.run_id end
    left join interlock.run_cards c on c.run_id = r.run_id
    left join interlock.run_options o on o.run_id = r.run_id
    where r.thread_id = %(thread_id)s and r.error_kind <> 'RolledBack' and r.answers is distinct from '{}'
) found
where %(status)s::text is null or status = %(status)s
order by number desc limit %(limit)s offset %(offset)s;

-- search: runs of all threads that their clients named, newest first
select * from (
    select r.run_id, r.thread_id, r.graph, r.kind, r.input_type, r.input, r.answers, r.created_at, e.error, e.error_kind,
        coalesce(e.finished_at, e.started_at, e.created_at) as updated_at, interlock.client_run_status(e.run_id, e.status) as status,
        c.assistant_id, c.metadata, c.kwargs, coalesce(o.multitask_strategy, 'reject') as multitask_strategy, r.number
    from interlock.run_cards c
    join interlock.runs r on r.run_id = c.run_id
    join interlock.runs e on e.run_id = case when r.status = 'waiting' then interlock.goes_on_awake(r.run_id) else r.run_id end
    left join interlock.run_options o on o.run_id = r.run_id
    where r.error_kind <> 'RolledBack' and (%(thread_id)s::text is null or r.thread_id = %(thread_id)s)
        and (%(assistant_id)s::text is null or c.assistant_id = %(assistant_id)s) and c.metadata @> %(metadata)s
) found
where %(status)s::text is null or status = %(status)s
order by number desc limit %(limit)s offset %(offset)s;

-- standing: how a run stands, or what goes on with it since it slept, and the last checkpoint that it made, or found
select e.run_id, e.thread_id, e.graph, e.status, e.error, e.error_kind,
    e.status = 'waiting' and exists (select from interlock.timers where run_id = e.run_id and kind = 'wake' and state = 'set') as sleeps,
    case when e.status not in ('queued', 'running') then coalesce(
        (
            select k.checkpoint_id from checkpoints k
            where k.thread_id = e.thread_id and k.checkpoint_ns = ''
                and k.metadata ->> 'run_id' = any((select interlock.chain(e.run_id))::text[])
            order by k.checkpoint_id desc limit 1 -- by its key, from the newest: a thread may have thousands
        ),
        (
            select k.checkpoint_id from checkpoints k where k.thread_id = e.thread_id and k.checkpoint_ns = ''
            order by k.checkpoint_id desc limit 1
        )
    ) end as checkpoint_id
from interlock.runs r
join interlock.runs e on e.run_id = case when r.status = 'waiting' then interlock.goes_on_awake(r.run_id) else r.run_id end
where r.run_id = %(run_id)s;

-- to_stop: which of some runs have not ended, in the words of LangGraph's server
select r.run_id, r.thread_id, interlock.client_run_status(r.run_id, r.status) as status from interlock.runs r
where (%(thread_id)s::text is null or r.thread_id = %(thread_id)s)
    and (%(run_ids)s::text[] is null or r.run_id = any(%(run_ids)s))
    and r.status in ('queued', 'running', 'waiting')
    and (r.status <> 'waiting' or r.run_id = interlock.last_run(r.thread_id))
order by r.number;

-- remove: forget a run that has ended; what it did to its thread stays
delete from interlock.runs
where run_id = %(run_id)s and status not in ('queued', 'running')
returning run_id;

-- over: some threads of runs that were to leave nothing behind and have ended, and whose ends were told; what somebody has to look at stays
select c.thread_id from interlock.run_cards c
join lateral (  -- the run that a thread is at that has none to go on with
    select x.status, x.finished_at from interlock.runs x where x.thread_id = c.thread_id
    order by x.error_kind <> 'RolledBack' and (x.attempts > 0 or x.status <> 'cancelled') desc, x.finished_at desc nulls last, x.number desc
    limit 1
) r on true
where c.on_completion = 'delete'
    and r.status in ('succeeded', 'failed', 'dead', 'cancelled') and r.finished_at < clock_timestamp() - make_interval(secs => %(seconds)s::float8)
    and not exists (select from interlock.runs o where o.thread_id = c.thread_id and o.status in ('queued', 'running', 'killed'))
    and not exists (select from interlock.letters l where l.thread_id = c.thread_id and l.status = 'open')
    and not exists (select from interlock.effects e where e.thread_id = c.thread_id and e.status = 'intended' and not e.reads)
    and not exists (select from interlock.webhooks w where w.thread_id = c.thread_id and w.status = 'waiting')
limit %(limit)s;

-- hold: those of some threads that nobody works on, held until the end of the transaction
select t.thread_id from unnest(%(threads)s::text[]) as t (thread_id)
where pg_try_advisory_xact_lock(hashtextextended(t.thread_id, %(seed)s));

-- over_still: those of some threads that are over still; no run can be added to them until the end of the transaction
select c.thread_id from interlock.threads c
join interlock.runs r on r.run_id = interlock.present_run(c.thread_id)
where c.thread_id = any(%(threads)s) and r.status in ('succeeded', 'failed', 'dead', 'cancelled')
    and not exists (select from interlock.runs o where o.thread_id = c.thread_id and o.status in ('queued', 'running', 'killed'))
    and not exists (select from interlock.letters l where l.thread_id = c.thread_id and l.status = 'open')
    and not exists (select from interlock.effects e where e.thread_id = c.thread_id and e.status = 'intended' and not e.reads)
    and not exists (select from interlock.webhooks w where w.thread_id = c.thread_id and w.status = 'waiting')
order by c.thread_id for update of c;
