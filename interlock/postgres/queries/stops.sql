-- stop: stop a run, or what goes on with it: cancelled at once, ordered of whoever runs it, or ended before
select interlock.goes_on_as(%(run_id)s) as run_id, interlock.stop_run(%(run_id)s, %(kind)s, %(reason)s, %(who)s) as how;

-- listen: be told when a run is to be stopped
listen interlock_stops;

-- orders: which of some runs are to be stopped, and why
select run_id, kind, interlock.stop_story(kind, reason, ordered_by) as story
from interlock.stop_orders where run_id = any(%(run_ids)s::text[]);

-- standing_orders: runs that are to be stopped, and the workers that have them
select o.run_id, r.thread_id, q.worker_id from interlock.stop_orders o join interlock.runs r using (run_id)
left join interlock.queue q using (run_id) where r.status = 'running';

-- carry_out: cancel a run that is to be stopped and whose process is gone; false: it is a worker's, or there is no order
select interlock.carry_out(%(run_id)s) as cancelled;
