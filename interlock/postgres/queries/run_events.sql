-- latest: what happened to runs, the latest first
select e.id, e.run_id, e.thread_id, r.graph, e.kind, e.worker_id as worker, e.detail, e.at
from interlock.run_events e join interlock.runs r using (run_id)
where (%(graph)s::text is null or r.graph = %(graph)s) and (%(kind)s::text is null or e.kind = %(kind)s)
    and (%(before)s::bigint is null or e.id < %(before)s)
order by e.id desc limit %(limit)s;
