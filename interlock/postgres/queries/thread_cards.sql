-- open: make a thread that has no run yet; no row where there is one
insert into interlock.threads (thread_id, graph, context) values (%(thread_id)s, '', %(context)s)
on conflict (thread_id) do nothing returning thread_id;

-- open_copy: make a thread that goes on where another one stands
insert into interlock.threads (thread_id, graph, title, context, parent_thread_id, parent_checkpoint_id, lineage, purpose)
select %(to_thread_id)s, graph, title, context, thread_id, %(checkpoint_id)s, %(lineage)s, 'fork'
from interlock.threads where thread_id = %(thread_id)s;

-- copy_card: give a copy what its original's card says
insert into interlock.thread_cards (thread_id, metadata, goes_on, state_updated_at)
select %(to_thread_id)s, coalesce((select metadata from interlock.thread_cards where thread_id = %(thread_id)s), '{}'),
    %(goes_on)s, case when %(has_state)s then clock_timestamp() end;

-- write: add to a thread's card, or make it; an expiry counts from now
insert into interlock.thread_cards (thread_id, metadata, config, ttl_minutes, ttl_strategy, expires_at)
values (
    %(thread_id)s, %(metadata)s, coalesce(%(config)s::jsonb, '{}'), %(ttl)s, coalesce(%(strategy)s, 'delete'),
    clock_timestamp() + %(ttl)s::double precision * interval '1 minute'
)
on conflict (thread_id) do update set
    metadata = thread_cards.metadata || excluded.metadata,
    config = coalesce(%(config)s::jsonb, thread_cards.config),
    ttl_minutes = coalesce(excluded.ttl_minutes, thread_cards.ttl_minutes),
    ttl_strategy = coalesce(%(strategy)s, thread_cards.ttl_strategy),
    expires_at = coalesce(excluded.expires_at, thread_cards.expires_at);

-- touch: note that something happened on a thread
update interlock.threads set updated_at = clock_timestamp() where thread_id = %(thread_id)s;

-- note_state: note that a thread's state was written from outside
with touched as (
    update interlock.threads set updated_at = clock_timestamp() where thread_id = %(thread_id)s
)
insert into interlock.thread_cards (thread_id, goes_on, state_updated_at) values (%(thread_id)s, %(goes_on)s, clock_timestamp())
on conflict (thread_id) do update set goes_on = excluded.goes_on, state_updated_at = excluded.state_updated_at;

-- assign: give a thread that has none its graph
update interlock.threads set graph = %(graph)s, context = context || %(context)s
where thread_id = %(thread_id)s and graph = '';

-- cards: threads as clients know them, by their ids
select t.thread_id, coalesce(nullif(t.graph, ''), c.metadata ->> 'graph_id', '') as graph, t.created_at, t.updated_at,
    greatest(t.created_at, c.state_updated_at, ended.at) as state_updated_at,
    coalesce(c.metadata, '{}') || case when t.graph = '' then '{}'::jsonb else jsonb_build_object('graph_id', t.graph) end as metadata,
    coalesce(c.config, '{}') as config, c.ttl_minutes, c.ttl_strategy, c.expires_at,
    interlock.client_status(r.run_id, coalesce(c.goes_on, false), c.state_updated_at) as status,
    r.run_id, r.status as run_status, r.error, r.error_kind
from interlock.threads t
left join interlock.thread_cards c using (thread_id)
left join interlock.runs r on r.run_id = interlock.present_run(t.thread_id)
cross join lateral (select max(e.finished_at) as at from interlock.runs e where e.thread_id = t.thread_id) as ended
where t.thread_id = any(%(ids)s::text[]);

-- page: the ids of a page of the threads that fit; how a thread stands is looked up only where it may be anything but idle
select t.thread_id
from interlock.threads t
left join interlock.thread_cards c using (thread_id)
left join (
    select e.thread_id, max(e.finished_at) as at from interlock.runs e
    where %(sort)s like 'state_updated_at %%' group by e.thread_id
) as ended using (thread_id)
cross join lateral (
    select case
        when coalesce(c.goes_on, false) or t.thread_id in (select u.thread_id from interlock.runs u where u.status <> 'succeeded')
        then interlock.client_status(interlock.present_run(t.thread_id), coalesce(c.goes_on, false), c.state_updated_at)
        else 'idle'
    end
) as s (status)
where (%(ids)s::text[] is null or t.thread_id = any(%(ids)s::text[]))
    and (%(metadata)s::jsonb = '{}' or c.metadata @> %(metadata)s::jsonb)
    and (%(graph)s::text is null or (case when t.graph <> '' then t.graph else c.metadata ->> 'graph_id' end) = %(graph)s)
    and (%(status)s::text is null or s.status = %(status)s)
order by
    case when %(sort)s = 'updated_at desc' then t.updated_at end desc,
    case when %(sort)s = 'updated_at asc' then t.updated_at end,
    case when %(sort)s = 'created_at desc' then t.created_at end desc,
    case when %(sort)s = 'created_at asc' then t.created_at end,
    case when %(sort)s = 'state_updated_at desc' then greatest(t.created_at, c.state_updated_at, ended.at) end desc,
    case when %(sort)s = 'state_updated_at asc' then greatest(t.created_at, c.state_updated_at, ended.at) end,
    case when %(sort)s = 'status desc' then s.status end desc,
    case when %(sort)s = 'status asc' then s.status end,
    case when %(sort)s = 'thread_id desc' then t.thread_id end desc,
    t.thread_id
limit %(limit)s offset %(offset)s;

-- count: how many threads fit
select count(*)::int as count
from interlock.threads t
left join interlock.thread_cards c using (thread_id)
where (%(ids)s::text[] is null or t.thread_id = any(%(ids)s::text[]))
    and (%(metadata)s::jsonb = '{}' or c.metadata @> %(metadata)s::jsonb)
    and (%(graph)s::text is null or (case when t.graph <> '' then t.graph else c.metadata ->> 'graph_id' end) = %(graph)s)
    and (%(status)s::text is null or case
        when coalesce(c.goes_on, false) or t.thread_id in (select u.thread_id from interlock.runs u where u.status <> 'succeeded')
        then interlock.client_status(interlock.present_run(t.thread_id), coalesce(c.goes_on, false), c.state_updated_at)
        else 'idle'
    end = %(status)s);

-- at_work: the runs of a thread that are to run, or run
select run_id, status from interlock.runs r where r.thread_id = %(thread_id)s and (
    r.status = 'running' or exists (select from interlock.queue q where q.run_id = r.run_id)
);

-- unended: the runs of a thread that have not ended, the newest first
select r.run_id, r.status from interlock.runs r
where r.thread_id = %(thread_id)s and r.status in ('queued', 'running', 'waiting') order by r.number desc;

-- in_doubt: what a thread intended to do, and of which is not known whether it happened
select key from interlock.effects where thread_id = %(thread_id)s and status = 'intended' and not reads limit 1;

-- forget: delete threads with their runs, questions and records; what they did to the world stays in the ledger
with budget as (
    delete from interlock.budgets where (kind = 'thread' and name = any(%(threads)s))
        or (kind = 'run' and name in (select run_id from interlock.runs where thread_id = any(%(threads)s)))
), fold as (
    delete from interlock.foldings where thread_id = any(%(threads)s)
), task as (
    delete from interlock.folded_tasks where thread_id = any(%(threads)s)
)
delete from interlock.threads where thread_id = any(%(threads)s);

-- expired: threads whose time is over and that have come to rest; whoever waits for a person, or sleeps, is left
select c.thread_id, c.ttl_strategy as strategy from interlock.thread_cards c
left join interlock.runs r on r.run_id = interlock.present_run(c.thread_id)
where c.expires_at <= clock_timestamp() and coalesce(r.status, '') not in ('queued', 'running', 'waiting')
order by c.expires_at limit %(limit)s;

-- untouched: threads of clients without a time of their own on which nothing has happened for so many minutes, and that have come to rest
select c.thread_id from interlock.thread_cards c
join interlock.threads t using (thread_id)
left join interlock.runs r on r.run_id = interlock.present_run(c.thread_id)
where c.ttl_minutes is null and (t.graph = '' or t.graph = any(%(graphs)s::text[]))
    and t.updated_at <= clock_timestamp() - %(minutes)s::double precision * interval '1 minute'
    and coalesce(r.status, '') not in ('queued', 'running', 'waiting')
    and coalesce(greatest(c.state_updated_at, r.created_at, r.finished_at), t.updated_at)
        <= clock_timestamp() - %(minutes)s::double precision * interval '1 minute'
order by t.updated_at limit %(limit)s;

-- renew: let a thread's time begin anew
update interlock.thread_cards set expires_at = clock_timestamp() + ttl_minutes * interval '1 minute' where thread_id = %(thread_id)s;

-- metadata: what clients said of some threads
select thread_id, metadata from interlock.thread_cards where thread_id = any(%(thread_ids)s);
