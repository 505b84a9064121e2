-- hold_thread: let nothing begin or end on a thread until the end of the transaction
select thread_id from interlock.threads where thread_id = %(thread_id)s for no key update;

-- in_the_way: what of a thread has not ended, in its order; a run that starts later is not in the line yet
select r.run_id, r.status, r.status <> 'queued' or r.attempts > 0 or r.kind = 'resume' as begun,
    r.status = 'waiting' and not exists (
        select from interlock.timers t where t.run_id = r.run_id and t.kind = 'wake' and t.state = 'set'
    ) as yields
from interlock.runs r left join interlock.run_options o using (run_id)
where r.thread_id = %(thread_id)s and (
    r.status = 'running'
    or (r.status = 'queued' and (r.attempts > 0 or coalesce(o.start_at <= clock_timestamp(), true)))
    or (r.status = 'waiting' and r.run_id = interlock.last_run(%(thread_id)s))
)
order by begun desc, r.number;

-- hold_key: of those who submit under one idempotency key at once, let one go on
select pg_advisory_xact_lock(hashtextextended('interlock ' || %(tenant)s || chr(10) || %(key)s, 7920));

-- known: the run that was submitted under an idempotency key
select o.run_id, r.thread_id, o.request from interlock.run_options o join interlock.runs r using (run_id)
where o.tenant = %(tenant)s and o.idempotency_key = %(key)s;

-- add_options: note how a run was submitted; what goes on with another is as urgent as that
insert into interlock.run_options (run_id, base_run_id, tenant, idempotency_key, request, multitask_strategy, priority, start_at, deadline)
values (
    %(run_id)s, %(base_run_id)s, %(tenant)s, %(key)s, %(request)s, %(multitask_strategy)s,
    coalesce((select b.priority from interlock.run_options b where b.run_id = %(base_run_id)s), %(priority)s), %(start_at)s, %(deadline)s
);

-- submitted: note that a run was accepted
select interlock.note_run(%(run_id)s, %(thread_id)s, 'submitted', '', '{}');

-- enqueue: let workers take on a run
select interlock.enqueue(%(run_id)s);

-- give_way: withdraw what a thread waits for people for, unless it goes on already
select interlock.give_way(%(thread_id)s);

-- add_card: note what a client of the server said of a run
insert into interlock.run_cards (run_id, thread_id, assistant_id, metadata, kwargs, webhook, on_completion)
select run_id, thread_id, %(assistant_id)s, %(metadata)s, %(kwargs)s, %(webhook)s, %(on_completion)s
from interlock.runs where run_id = %(run_id)s;
