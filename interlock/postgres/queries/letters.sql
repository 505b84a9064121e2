-- bury: write the letter of a run that is dead; null: it has one that is open
select interlock.bury(%(letter_id)s, %(run_id)s, %(kind)s, %(told)s, %(holds)s) as letter_id;

-- progress: how far a thread has come: it differs when a step was made since, or a task of one, also in a subgraph
select coalesce(l.checkpoint_id, '') || ':' || (
    select count(*) from checkpoint_writes w
    where w.thread_id = %(thread_id)s and w.checkpoint_id >= l.checkpoint_id and w.channel <> '__error__'
) as progress
from (select max(checkpoint_id) as checkpoint_id from checkpoints where thread_id = %(thread_id)s) l;

-- tries: how often a run was tried again after a kind of failure since it got on, or since a person replayed it
select count(*)::int as count from interlock.run_events e
where e.run_id = %(run_id)s and e.kind = 'retried' and e.detail ->> 'failure' = %(kind)s
    and coalesce(e.detail ->> 'progress', '') = %(progress)s
    and e.id > coalesce((
        select max(p.id) from interlock.run_events p  -- a timer, which queues it for the next try, forgets none
        where p.run_id = e.run_id and p.kind = 'queued' and not p.detail ? 'timer'
    ), 0);

-- letters: dead letters, the newest first
select l.*, coalesce(t.title, '') as about from interlock.letters l left join interlock.threads t using (thread_id)
where (%(status)s::text is null or l.status = %(status)s) and (%(kind)s::text is null or l.kind = %(kind)s)
    and (%(graph)s::text is null or l.graph = %(graph)s) and (%(tenant)s::text is null or l.tenant = %(tenant)s)
    and (%(since)s::timestamptz is null or l.buried_at >= %(since)s)
order by l.buried_at desc, l.letter_id limit %(limit)s;

-- letters_by_prefix: the letter of this id, or those whose id starts with it
select letter_id from interlock.letters where starts_with(letter_id, %(prefix)s) order by letter_id <> %(prefix)s limit 3;

-- letter: one letter
select l.*, coalesce(t.title, '') as about from interlock.letters l left join interlock.threads t using (thread_id)
where l.letter_id = %(letter_id)s;

-- hold_letter: one letter, which nobody else closes until the end of the transaction
select * from interlock.letters where letter_id = %(letter_id)s for no key update;

-- hold_letters_thread: let nothing be accepted or end on a letter's thread until the end of the transaction
select t.thread_id from interlock.threads t join interlock.letters l using (thread_id)
where l.letter_id = %(letter_id)s for no key update of t;

-- hold_letters_queue: let nothing begin there that is accepted: a claim holds the run alone
select r.run_id from interlock.runs r join interlock.letters l using (thread_id)
where l.letter_id = %(letter_id)s and r.status = 'queued' order by r.run_id for no key update of r;

-- gone_on: a run that began on a letter's thread after its own had died, or goes on there
select o.run_id, o.status from interlock.letters l
join interlock.runs r on r.run_id = l.run_id
join interlock.runs o on o.thread_id = l.thread_id and o.run_id <> l.run_id
where l.letter_id = %(letter_id)s and o.attempts > 0 and o.error_kind <> 'RolledBack'
    and (o.status in ('queued', 'running') or o.finished_at > r.finished_at)
order by o.number desc limit 1;

-- revive: hand a dead run to the workers again, from its last checkpoint
update interlock.runs set status = 'queued', error = '', error_kind = '', finished_at = null
where run_id = %(run_id)s and status = 'dead';

-- enqueue: hand a queued run to the workers
select interlock.enqueue(%(run_id)s);

-- give_up: nobody goes on with a dead run any more; what it failed of stays written
update interlock.runs set status = 'cancelled' where run_id = %(run_id)s and status = 'dead';

-- promote: let the next run of a thread begin, if there is one and the thread is free
select interlock.promote(%(thread_id)s);

-- close: say what became of a letter
update interlock.letters
set status = %(status)s, closed_at = clock_timestamp(), closed_by = %(by)s, closed_why = %(why)s, proposal = coalesce(%(proposal)s, proposal)
where letter_id = %(letter_id)s and status = 'open' returning *;

-- note_event: what happened to a letter's run
insert into interlock.run_events (run_id, thread_id, kind, detail) values (%(run_id)s, %(thread_id)s, %(kind)s, %(detail)s);

-- events: what happened to some runs, oldest first
select run_id, kind, worker_id, detail, at from interlock.run_events where run_id = any(%(run_ids)s) order by id;

-- calls: the model calls of some runs, by node and model
select node, model, count(*)::int as calls, sum(input_tokens)::int as input_tokens, sum(output_tokens)::int as output_tokens,
    case when count(*) = count(cost) then sum(cost) end as cost, sum(seconds) as seconds
from interlock.model_calls where thread_id = %(thread_id)s and run_id = any(%(run_ids)s) group by node, model order by min(id);

-- behind: how many runs wait on a thread
select count(*)::int as count from interlock.queue where thread_id = %(thread_id)s and not ready and worker_id is null;

-- note_graphs: which of a worker's graphs hold their threads when a run is dead
with gone as (delete from interlock.holding_graphs where graph = any(%(graphs)s) and not graph = any(%(holding)s))
insert into interlock.holding_graphs (graph)
select g from unnest(%(holding)s::text[]) as g where not exists (select from interlock.holding_graphs where graph = g)
on conflict do nothing;
