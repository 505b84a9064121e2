-- claim: let go of some threads, accept some runs, and take on those that are due: in turns between tenants, by rank within one
select t.*, l.* from interlock.take_on(
    %(worker)s, %(process)s, %(seed)s, %(release)s::text[], %(news)s, %(inputs)s, %(of_the_run)s::text[], %(most)s, %(suspect)s,
    %(avoid)s::text[], %(lanes)s, %(after)s, %(graphs)s::text[], %(tenants)s::text[]
) t
left join lateral (
    select found.* from interlock.latest_checkpoint(t.run_id, %(most_bytes)s) found
    where t.claimed and not t.fresh and (t.accepted or (t.kind = 'invoke' and t.attempts = 1))
) l on true
-- A claim alone does not wait for the disk: the first checkpoint does, and brings it along.
cross join (select case when %(news)s = jsonb '[]' then set_config('synchronous_commit', 'off', true) end as relaxed) s;

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
