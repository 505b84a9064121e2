-- own_answer: use the answer that a thread has for a request; no row means that there is none
update interlock.recordings
set answered = answered + 1, run_id = %(run_id)s
where key = %(key)s and (%(also_stale)s or not stale)
returning answer_type, answer;

-- take_answer: answer a fork's request from the first equal call of its parents that it has not used yet
with own as (
    -- whatever it is worth: a thread that has asked once does not take another of its parents' answers
    select number from interlock.recordings where key = %(key)s
), best as (
    select r.* from interlock.recordings r
    join unnest(%(threads)s::text[], %(since)s::text[], %(before)s::text[]) as s (thread_id, since, before)
        on r.thread_id = s.thread_id and r.checkpoint_id collate "C" >= s.since
        and (s.before = '' or r.checkpoint_id collate "C" < s.before)
    where r.digest = %(digest)s and not exists (select from own)
        and not exists (select from interlock.recordings u where u.thread_id = %(thread_id)s and u.source = r.number)
    order by (r.task, r.place) <> (%(task)s, %(place)s), r.node <> %(node)s, r.number
    limit 1
), taken as (
    insert into interlock.recordings (key, thread_id, run_id, node, task, checkpoint_id, digest, place, asked, answer_type, answer, source, answered)
    select %(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(task)s, %(checkpoint_id)s, %(digest)s, %(place)s, %(asked)s,
        best.answer_type, best.answer, best.number, 1
    from best
    on conflict (thread_id, source) do nothing
    returning number
)
-- a row that was not taken went to another branch a moment ago
select best.answer_type, best.answer, exists (select from taken) as taken from best;

-- keep_answer: record what a model answered
insert into interlock.recordings (key, thread_id, run_id, node, task, checkpoint_id, digest, place, asked, answer_type, answer)
values (%(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(task)s, %(checkpoint_id)s, %(digest)s, %(place)s, %(asked)s, %(answer_type)s, %(answer)s)
on conflict (key) do update
set answer_type = excluded.answer_type, answer = excluded.answer, run_id = excluded.run_id, stale = false, recorded_at = now();

-- nearest_call: what the same node asked for on a thread's parents, and the thread has not used yet
select r.asked from interlock.recordings r
join unnest(%(threads)s::text[], %(since)s::text[], %(before)s::text[]) as s (thread_id, since, before)
    on r.thread_id = s.thread_id and r.checkpoint_id collate "C" >= s.since
    and (s.before = '' or r.checkpoint_id collate "C" < s.before)
where r.node = %(node)s
    and not exists (select from interlock.recordings u where u.thread_id = %(thread_id)s and u.source = r.number)
order by (r.task, r.place) <> (%(task)s, %(place)s), r.number
limit 1;

-- forget_answers: a run failed, so what it asks again is asked anew
update interlock.recordings set stale = true where thread_id = %(thread_id)s and run_id = %(run_id)s and not stale;

-- recorded_by_task: how many calls of a thread were answered from records, by task of its graph
select split_part(split_part(task, '|', 1), ':', 2) as task_id, sum(answered)::int as count
from interlock.recordings where thread_id = %(thread_id)s and answered > 0 group by 1;
