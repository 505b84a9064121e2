-- claim: let go of some threads, and take on the runs that are due: in turns between tenants, by rank within one; each thread is held at once
with recursive freed as materialized (
    select pg_advisory_unlock(hashtextextended(t.thread_id, %(seed)s)) from unnest(%(release)s::text[]) as t (thread_id)
), me as materialized (
    select w.worker_id from interlock.workers w
    where w.worker_id = %(worker)s and w.state = 'working' and (select count(*) from freed) >= 0
    for key share
), lane (tenant, graph, rank, place, wrapped) as (  -- a line for each tenant and graph, round from behind the tenant served last
    (
        (
            select q.tenant, q.graph, q.rank, 1, false from interlock.queue q
            where q.ready and q.worker_id is null and q.tenant > %(after)s order by q.tenant, q.graph, q.rank, q.number limit 1
        ) union all (
            select q.tenant, q.graph, q.rank, 1, true from interlock.queue q
            where q.ready and q.worker_id is null order by q.tenant, q.graph, q.rank, q.number limit 1
        ) limit 1
    )
    union all
    select n.tenant, n.graph, n.rank, lane.place + 1, n.wrapped from lane cross join lateral (
        (
            select q.tenant, q.graph, q.rank, lane.wrapped from interlock.queue q
            where q.ready and q.worker_id is null and (q.tenant, q.graph) > (lane.tenant, lane.graph)
                and (not lane.wrapped or q.tenant <= %(after)s)
            order by q.tenant, q.graph, q.rank, q.number limit 1
        ) union all (
            select q.tenant, q.graph, q.rank, true from interlock.queue q
            where not lane.wrapped and q.ready and q.worker_id is null and q.tenant <= %(after)s
            order by q.tenant, q.graph, q.rank, q.number limit 1
        ) limit 1
    ) n
    where lane.place < %(lanes)s
), load as materialized (
    select c.tenant, count(*) as running from interlock.queue c where c.worker_id is not null group by c.tenant
), mine as materialized (  -- of more lines than runs are wanted, those with the best heads
    select l.tenant, l.graph, coalesce(load.running, 0) as running, min(l.place) over (partition by l.tenant) as place
    from lane l left join load on load.tenant = l.tenant
    where l.graph = any(%(graphs)s::text[]) and (%(tenants)s::text[] is null or l.tenant = any(%(tenants)s::text[]))
    order by running, place, l.rank limit %(most)s
), best as materialized (
    select m.tenant, m.graph, m.place,
        m.running + row_number() over (partition by m.tenant order by c.rank, c.number) as turn
    from mine m cross join lateral (
        select q.rank, q.number from interlock.queue q
        where q.ready and q.worker_id is null and q.tenant = m.tenant and q.graph = m.graph
            and (q.crashes = 0 or %(suspect)s) and q.thread_id <> all(%(avoid)s::text[])
        order by q.rank, q.number limit %(most)s
    ) c
    order by turn, m.place, c.rank limit %(most)s
), share as materialized (
    select b.tenant, b.graph, count(*) as runs from best b group by b.tenant, b.graph
), seen as materialized (
    select t.run_id, t.thread_id, t.crashes, row_number() over (partition by t.crashes > 0 order by t.rank, t.number) as place
    from share s cross join me cross join lateral (
        select q.run_id, q.thread_id, q.crashes, q.rank, q.number from interlock.queue q
        where q.ready and q.worker_id is null and q.tenant = s.tenant and q.graph = s.graph
            and (q.crashes = 0 or %(suspect)s) and q.thread_id <> all(%(avoid)s::text[])
        order by q.rank, q.number limit s.runs for update skip locked
    ) t
), tried as materialized (
    select s.run_id, s.thread_id, s.crashes, pg_try_advisory_lock(hashtextextended(s.thread_id, %(seed)s)) as held
    from seen s where s.crashes = 0 or s.place = 1
), begun as (
    update interlock.runs r set status = 'running', attempts = r.attempts + 1, process = %(process)s,
        started_at = coalesce(r.started_at, clock_timestamp()), error = '', error_kind = ''
    from tried t where t.held and r.run_id = t.run_id and r.status = 'queued'
    returning r.*, t.crashes
), claimed as (
    update interlock.queue q set worker_id = %(worker)s, claimed_at = clock_timestamp()
    from begun b where q.run_id = b.run_id
), noted as (
    insert into interlock.run_events (run_id, thread_id, kind, worker_id)
    select b.run_id, b.thread_id, 'claimed', %(worker)s from begun b
)
select look.*, b.*, h.lineage,
    case when b.kind = 'resume' then interlock.chain(b.run_id) else array[b.run_id] end as chain,
    coalesce((select v.schema_version from interlock.input_versions v where v.run_id = b.run_id), 1) as schema_version,
    not exists (select from checkpoints c where c.thread_id = b.thread_id) as fresh,
    b.kind = 'resume' or interlock.is_limited(b.run_id, b.thread_id, b.graph, b.context ->> 'tenant') as limited,
    case when exists (select from interlock.kills where lifted_at is null) then (select min(k) from interlock.kills_over(b.run_id) as k) end as kill
from (
    select count(*) as lanes, bool_or(l.wrapped) as wrapped, (array_agg(l.tenant order by l.place desc))[1] as last_seen,
        (select b.tenant from best b order by b.turn desc, b.place desc limit 1) as last_served,
        (select count(*) from freed) as freed,  -- also when nothing is due: what nobody reads is not done
        (select count(*) from best) as wished, (select count(*) from tried) as tried,
        (select array_agg(t.thread_id) from tried t where not t.held) as busy_threads,
        (select array_agg(t.run_id) from tried t where t.held and t.run_id not in (select b.run_id from begun b)) as stale_runs,
        (select array_agg(t.thread_id) from tried t where t.held and t.run_id not in (select b.run_id from begun b)) as stale_threads
    from lane l
) look
left join begun b on true
left join interlock.threads h on h.thread_id = b.thread_id;

-- release_threads: let go of threads
select pg_advisory_unlock(hashtextextended(t.thread_id, %(seed)s)) from unnest(%(thread_ids)s::text[]) as t (thread_id);

-- release_others: let go of all that this session holds but some threads and its own name
select pg_advisory_unlock((l.classid::bigint << 32) | l.objid::bigint) from pg_locks l
where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.pid = pg_backend_pid()
    and (l.classid::bigint << 32) | l.objid::bigint <> all(
        select hashtextextended(t.thread_id, %(seed)s) from unnest(%(thread_ids)s::text[]) as t (thread_id)
        union all select hashtextextended(%(owner)s, %(owner_seed)s)
    );

-- plan_once: plan each statement of this session once, and for few rows: a limit that is a value counts as a tenth of the table
select set_config(name, setting, false)
from (values ('plan_cache_mode', 'force_generic_plan'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off')) as s (name, setting);

-- drop_stale: remove runs from the queue that are not queued
delete from interlock.queue q using interlock.runs r
where q.run_id = any(%(runs)s) and q.worker_id is null and r.run_id = q.run_id and r.status <> 'queued';

-- hand_back: give runs of a worker back that it does not work on
with given as (
    select q.run_id, q.thread_id from interlock.queue q
    where q.worker_id = %(worker)s and q.run_id = any(%(runs)s) order by q.run_id for update
), back as (
    update interlock.runs r set status = 'queued', error = %(error)s, error_kind = %(error_kind)s, finished_at = null
    from given g where r.run_id = g.run_id and r.status = 'running' returning r.run_id, r.thread_id
), freed as (
    update interlock.queue q set worker_id = null, claimed_at = null, ready = true from back b where q.run_id = b.run_id
), noted as (
    insert into interlock.run_events (run_id, thread_id, kind, worker_id)
    select b.run_id, b.thread_id, 'released', %(worker)s from back b
)
select count(*) as runs, pg_notify('interlock_queue', '') from back;

-- absolve: a run has made a step: it did not take its worker with it
update interlock.queue set crashes = 0, crashed_at = '' where run_id = %(run_id)s and worker_id = %(worker)s;
