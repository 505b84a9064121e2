-- head: the last checkpoint of a thread's own graph
select max(checkpoint_id) as checkpoint_id from checkpoints where thread_id = %(thread_id)s and checkpoint_ns = '';

-- forget: take earlier changes of some channels at a checkpoint away
delete from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_ns = '' and checkpoint_id = %(checkpoint_id)s
    and task_id = %(null_task)s and channel = any(%(channels)s);

-- change: change the state at a checkpoint, behind what was changed there before; LangGraph applies it before it runs any task
insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
select %(thread_id)s, '', %(checkpoint_id)s, %(null_task)s, 1 + greatest(coalesce(max(idx), -1), -1), %(channel)s, %(type)s, %(blob)s, ''
from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_ns = '' and checkpoint_id = %(checkpoint_id)s and task_id = %(null_task)s;

-- unfail: take away that some tasks failed at a checkpoint
delete from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_ns = '' and checkpoint_id = %(checkpoint_id)s
    and task_id = any(%(tasks)s) and channel in ('__error__', '__error_source_node__');

-- stand_in: write in the place of a task; LangGraph takes one that wrote for one that has ended, and does not run it
insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
values (%(thread_id)s, '', %(checkpoint_id)s, %(task)s, %(idx)s, %(channel)s, %(type)s, %(blob)s, '');

-- use_up: what some tasks did, also in subgraphs of theirs, as used by a trial in which they are not run again
insert into interlock.effects (
    key, thread_id, run_id, node, agent, task, checkpoint_id, action, request, asked_for, arguments, cost, reversible, reads, verdict,
    status, result, source, finished_at
)
select encode(sha256(convert_to(%(trial)s || ' ' || e.key, 'UTF8')), 'hex'), %(trial)s, %(run_id)s, e.node, e.agent, e.task, e.checkpoint_id,
    e.action, e.request, e.asked_for, e.arguments, 0, e.reversible, e.reads, e.verdict, 'done', e.result, e.key, now()
from interlock.effects e
where e.thread_id = %(thread_id)s and e.status = 'done' and split_part(split_part(e.task, '|', 1), ':', 2) = any(%(tasks)s::text[]);

-- refused: acts that were refused at a checkpoint, the last refusal of each first
select key, node, action, arguments, reason from (
    select distinct on (request) key, node, action, arguments, reason, number from interlock.refusals
    where thread_id = %(thread_id)s and checkpoint_id = %(checkpoint_id)s order by request, number desc
) each order by number desc;

-- pin: let a run, and those that come after it on its thread, use a version of a prompt
with run as (
    update interlock.runs set context = jsonb_set(context, array['prompts', %(prompt)s], to_jsonb(%(version)s::text))
    where run_id = %(run_id)s returning thread_id
)
update interlock.threads t set context = jsonb_set(t.context, array['prompts', %(prompt)s], to_jsonb(%(version)s::text))
from run where t.thread_id = run.thread_id;

-- note: that a run was repaired, and by what
insert into interlock.run_events (run_id, thread_id, kind, detail)
values (%(run_id)s, %(thread_id)s, 'repaired', %(detail)s);
