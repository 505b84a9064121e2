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
