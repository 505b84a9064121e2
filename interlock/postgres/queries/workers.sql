-- register: begin to work under a name
insert into interlock.workers (worker_id, process, backend, concurrency, graphs, tenants, lease_until)
values (
    %(worker)s, %(process)s, %(backend)s, %(concurrency)s, %(graphs)s, %(tenants)s,
    clock_timestamp() + %(lease)s * interval '1 second'
);

-- beat: say that a worker lives; no row means that it was removed
update interlock.workers set beat_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s * interval '1 second',
    state = %(state)s
where worker_id = %(worker)s returning worker_id;

-- gone: the workers whose lock has fallen or whose lease is over, and why; this one, too
select w.worker_id, w.process,
    case when l.pid is null then 'its connection has ended' else 'its lease is over' end as why
from interlock.workers w
left join (
    select a.pid, (a.classid::bigint << 32) | a.objid::bigint as key from pg_locks a
    where a.locktype = 'advisory' and a.granted and a.objsubid = 1
        and a.database = (select oid from pg_database where datname = current_database())
) l on l.key = hashtextextended(w.worker_id, 7919)
where l.pid is null or w.lease_until < clock_timestamp();

-- hold: hold the row of a worker that is gone; `charge`: it was not the server that went away
select w.worker_id, w.process, w.beat_at > pg_postmaster_start_time() as charge from interlock.workers w
where w.worker_id = %(worker)s and (%(anyway)s or w.lease_until < clock_timestamp() or not interlock.lives(w.worker_id))
for update;

-- patience: give up waiting for a row after a while, in this transaction
set local lock_timeout = '3s';

-- end_idle_blockers: end the sessions that a statement waits for and that themselves wait for a client that says nothing
select pg_terminate_backend(a.pid) as ended from pg_stat_activity a
where a.pid = any(pg_blocking_pids(%(pid)s)) and a.state like 'idle in transaction%%'
    and a.state_change < clock_timestamp() - interval '1 second';

-- worker_of: the worker that a thread's run is claimed by and that does not live any more
select q.worker_id from interlock.queue q
where q.thread_id = %(thread_id)s and q.worker_id is not null and not interlock.lives(q.worker_id);

-- cut: end the sessions that hold a worker's locks, and with them its hold on threads
select pg_terminate_backend(pid, 2000) as ended from interlock.sessions_of(%(worker)s) as s (pid)
where pid <> pg_backend_pid();

-- forgive: a worker that was taken for dead lives after all: none of its runs took it along
with charged as (
    select q.run_id from interlock.queue q
    where q.crashes > 0 and exists (
        select from interlock.run_events e
        where e.run_id = q.run_id and e.kind = 'lost' and e.worker_id = %(worker)s
            and (e.detail ->> 'charged')::boolean and (e.detail ->> 'crashes')::integer = q.crashes
    )
    order by q.run_id for update
)
update interlock.queue q set crashes = q.crashes - 1 from charged c where q.run_id = c.run_id;

-- take_over: remove a worker whose row is held; the runs that it had
select run_id, thread_id, crashes, is_dead from interlock.take_over(%(worker)s, %(charge)s, %(most_crashes)s);
