-- ask: write down what a run waits for; no row means that it is open or stays answered, and nothing was changed
insert into interlock.questions (
    question_id, thread_id, run_id, graph, node, interrupt_id, digest, payload,
    kind, effect, looked_up, assignees, needed, terms, verdict, deadline, remind_at, escalate_at
)
values (
    %(question_id)s, %(thread_id)s, %(run_id)s, %(graph)s, %(node)s, %(interrupt_id)s, %(digest)s, %(payload)s,
    %(kind)s, %(effect)s, %(looked_up)s, %(assignees)s, %(needed)s, %(terms)s, %(verdict)s,
    now() + make_interval(secs => %(within)s::float8), now() + make_interval(secs => %(remind)s::float8),
    now() + make_interval(secs => %(escalate)s::float8)
)
on conflict (question_id) do update
set status = 'open', run_id = excluded.run_id, interrupt_id = excluded.interrupt_id, payload = excluded.payload, answer = null,
    answered_by = '', answered_at = null, answered_run = '', asked_at = now(), assignees = excluded.assignees, needed = excluded.needed,
    terms = excluded.terms, verdict = excluded.verdict, level = 0, deadline = excluded.deadline, remind_at = excluded.remind_at,
    escalate_at = excluded.escalate_at, proposed = null, votes = '[]', granted = ''
where interlock.questions.thread_id = excluded.thread_id
    and (interlock.questions.status = 'withdrawn' or (interlock.questions.status = 'answered' and not interlock.questions.looked_up))
returning question_id;

-- withdraw: what a thread does not wait for any more cannot be answered
update interlock.questions set status = 'withdrawn'
where thread_id = %(thread_id)s and status = 'open' and question_id <> all(%(open_now)s::text[])
returning question_id;

-- reopen: a resume was refused, so its answers were not used; a deadline that has passed is not used again
update interlock.questions
set status = 'open', answer = null, answered_by = '', answered_at = null, answered_run = '', granted = '', votes = '[]', proposed = null,
    deadline = case when deadline > now() then deadline end
where thread_id = %(thread_id)s and answered_run = %(run_id)s and status = 'answered'
returning question_id;

-- hold_thread: let no run of a thread end and no other answer be taken meanwhile
select thread_id from interlock.threads where thread_id = %(thread_id)s for no key update;

-- hold_thread_or_skip: the same, unless somebody else is at it
select thread_id from interlock.threads where thread_id = %(thread_id)s for no key update skip locked;

-- lock_questions: some questions of a thread, held until the answers to them are taken
select *, coalesce(deadline <= now(), false) as expired from interlock.questions
where thread_id = %(thread_id)s and question_id = any(%(question_ids)s)
order by question_id for update;

-- vote: note who agrees, while more people must
update interlock.questions set votes = %(votes)s, proposed = %(proposed)s
where question_id = %(question_id)s and status = 'open' and (deadline is null or deadline > now())
returning question_id;

-- settle: close a question with its answer; no row means that it was closed, or its deadline has passed
update interlock.questions
set status = 'answered', answer = %(answer)s, answered_by = %(by)s, answered_at = now(), answered_run = %(run_id)s, votes = %(votes)s,
    proposed = %(proposed)s, granted = %(granted)s
where question_id = %(question_id)s and status = 'open' and coalesce(deadline <= now(), false) = %(expired)s
returning question_id;

-- note: write what happened to a question
insert into interlock.question_events (question_id, kind, who, detail)
values (%(question_id)s, %(kind)s, %(who)s, %(detail)s);

-- question: one question
select *, coalesce(deadline <= now(), false) as expired from interlock.questions where question_id = %(question_id)s;

-- question_by_prefix: questions whose id starts with some characters
select question_id from interlock.questions where starts_with(question_id, %(prefix)s) limit 3;

-- open_questions: what waits for a person, oldest first
select *, coalesce(deadline <= now(), false) as expired from interlock.questions
where status = 'open' and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
order by asked_at, number limit %(limit)s::bigint;

-- questions: all questions of a thread, oldest first
select *, coalesce(deadline <= now(), false) as expired from interlock.questions
where thread_id = %(thread_id)s order by asked_at, number;

-- answer: the stored answer to a question, once it is settled
select answer from interlock.questions where question_id = %(question_id)s and status = 'answered';

-- events: what happened to a question, oldest first
select kind, who, happened_at, detail from interlock.question_events where question_id = %(question_id)s order by id;

-- due_threads: threads with a question that time makes take a step
select distinct thread_id from interlock.questions
where status = 'open' and least(deadline, remind_at, escalate_at) <= now();

-- due_questions: the questions of a thread that time makes take a step, and which
select *, coalesce(deadline <= now(), false) as expired, coalesce(remind_at <= now(), false) as reminds,
    coalesce(escalate_at <= now(), false) as escalates, extract(epoch from now() - asked_at)::float8 as age
from interlock.questions
where thread_id = %(thread_id)s and status = 'open' and least(deadline, remind_at, escalate_at) <= now()
order by question_id for update;

-- active: whether a thread has a run that is at work, or is to go on; others may stand behind what waits
select true as active from interlock.runs
where thread_id = %(thread_id)s and (status = 'running' or (status = 'queued' and (attempts > 0 or kind = 'resume')));

-- escalate: let the people of the next level answer too
update interlock.questions
set level = %(level)s, assignees = %(assignees)s, escalate_at = asked_at + make_interval(secs => %(next)s::float8)
where question_id = %(question_id)s;

-- remind: set when the next reminder is due
update interlock.questions set remind_at = now() + make_interval(secs => %(remind)s::float8) where question_id = %(question_id)s;

-- left_by_deadline: threads whose last run goes on with what a deadline answered, and has not ended
select r.thread_id from interlock.runs r
where r.status in ('queued', 'running') and r.error_kind <> 'breakpoint' and r.attempts < %(attempts)s
    and exists (select from interlock.questions q where q.answered_run = r.run_id and q.answered_by = %(by)s)
order by r.number;

-- asked_there: what a node of the threads that are replayed asked, in its order
select q.question_id, q.digest, q.status, q.answer, q.payload, q.payload -> 'action_requests' -> 0 ->> 'name' as action,
    q.payload -> 'action_requests' -> 0 ->> 'args' as arguments
from interlock.questions q
join unnest(%(threads)s::text[], %(since)s::text[], %(before)s::text[]) as s (thread_id, since, before) on q.thread_id = s.thread_id
cross join lateral (select coalesce(q.payload -> 'question' ->> 'checkpoint_id', '') as checkpoint_id) as c
where q.node = %(agent)s
    and (q.digest = '' or (c.checkpoint_id >= s.since and (s.before = '' or c.checkpoint_id < s.before)))
order by c.checkpoint_id, q.asked_at, q.question_id;
