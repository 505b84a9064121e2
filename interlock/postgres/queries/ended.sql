-- listen: be told when a run has ended or waits
listen interlock_ended;

-- named: the run of this name, or the one that the thread of this name is at
select run_id from interlock.runs where run_id = %(name)s
union all
select interlock.present_run(thread_id) from interlock.threads where thread_id = %(name)s;

-- named_alike: the runs, and the threads with the run that they are at, whose generated names begin with this
select run_id as name, run_id from interlock.runs where starts_with(run_id, %(name)s)
union all
select thread_id, interlock.present_run(thread_id) from interlock.threads
where starts_with(thread_id, %(name)s) and thread_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
limit 3;

-- stands: how a run stands, or what goes on with it, and whether its thread is at it
select r.run_id, r.thread_id, r.graph, r.kind, r.status, coalesce(r.context ->> 'model', '') as model, r.attempts, r.created_at,
    r.error, r.error_kind, r.run_id = interlock.present_run(r.thread_id) as present
from interlock.runs r where r.run_id = interlock.goes_on_as(%(run_id)s);

-- last_checkpoint: the last one that a run made on the graph of its thread; none when it was folded or undone
select checkpoint_id from checkpoints
where thread_id = %(thread_id)s and checkpoint_ns = '' and metadata ->> 'run_id' = %(run_id)s
order by checkpoint_id desc limit 1;
