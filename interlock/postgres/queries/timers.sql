-- set_timer: let something happen at a time; no row means that a timer of this name was set before
insert into interlock.timers (kind, due_at, run_id, thread_id, attempts, cron, graph, payload, dedupe)
values (
    %(kind)s, coalesce(%(due_at)s::timestamptz, interlock.clock() + make_interval(secs => %(after_seconds)s::float8)), %(run_id)s,
    coalesce(%(thread_id)s::text, (select r.thread_id from interlock.runs r where r.run_id = %(run_id)s), ''),
    coalesce((select r.attempts from interlock.runs r where r.run_id = %(run_id)s), 0), %(cron)s, %(graph)s, %(payload)s, %(dedupe)s
)
on conflict (dedupe) do nothing
returning id;

-- cancel_timers: nothing of what is set for a run happens any more
update interlock.timers set state = 'cancelled' where run_id = %(run_id)s and state = 'set' and kind = any(%(kinds)s::text[])
returning id;

-- asleep: until when a run sleeps, while its timer is set
select t.due_at, t.due_at <= interlock.clock() as over from interlock.timers t
where t.run_id = %(run_id)s and t.kind = 'wake' and t.state = 'set';
