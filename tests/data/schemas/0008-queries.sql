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

-- active: whether a thread has a run that has not ended
select true as active from interlock.runs where thread_id = %(thread_id)s and status in ('queued', 'running');

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
-- known_files: the documents of files that may not have changed
select f.path, f.source, f.size, f.mtime_ns, f.document_id
from interlock.files f
join unnest(%(paths)s::text[], %(sources)s::text[]) as asked (path, source) using (path, source);

-- members: the documents that a collection ever held
select document_id, current from interlock.collection_documents where collection_id = %(collection)s;

-- add_documents: store documents that are not there yet, and return which
insert into interlock.documents (document_id, source, title, media, text, page_starts, passages)
select document_id, source, title, media, text, page_starts::integer[], passages
from unnest(
    %(ids)s::text[], %(sources)s::text[], %(titles)s::text[], %(media)s::text[], %(texts)s::text[],
    %(page_starts)s::text[], %(passages)s::integer[]
) as new (document_id, source, title, media, text, page_starts, passages)
on conflict (document_id) do nothing
returning document_id;

-- add_passages: store passages, row by row
copy interlock.passages
    (document_id, starts, ends, location_kind, location_first, location_last, title, heading, text)
from stdin;

-- stamp_files: note by what files are known again
insert into interlock.files (path, source, size, mtime_ns, document_id)
select * from unnest(
    %(paths)s::text[], %(sources)s::text[], %(sizes)s::bigint[], %(times)s::bigint[], %(ids)s::text[]
)
on conflict (path, source) do update
set size = excluded.size, mtime_ns = excluded.mtime_ns, document_id = excluded.document_id;

-- open_collection: make a collection or lock the one that exists, until the transaction ends
insert into interlock.collections (collection_id, sources)
values (%(collection)s, %(sources)s)
on conflict (collection_id) do update set ingested_at = now();

-- lock_collection: keep others from changing a collection, until the transaction ends
select collection_id from interlock.collections where collection_id = %(collection)s for update;

-- unasked: the search tools of a collection that were not asked this yet
select given.source as tool
from interlock.collections c cross join lateral unnest(c.sources) as given (source)
where c.collection_id = %(collection)s and starts_with(given.source, 'search:') and %(query)s <> ''
    and not exists (
        select from interlock.answers a
        where a.collection_id = c.collection_id and a.tool = given.source and a.query = %(query)s
    )
order by given.source;

-- keep_answer: note what a search tool found, unless somebody else was faster
insert into interlock.answers (collection_id, tool, query, document_ids)
values (%(collection)s, %(tool)s, %(query)s, %(ids)s)
on conflict (collection_id, tool, query) do nothing
returning tool;

-- forget_answers: forget what search tools found long ago
delete from interlock.answers
where collection_id = %(collection)s and answered_at < now() - make_interval(secs => %(seconds)s);

-- answers: the documents that search tools found
select distinct unnest(document_ids) as document_id from interlock.answers
where collection_id = %(collection)s;

-- add_members: let documents belong to a collection, and return those that did not
insert into interlock.collection_documents as held (collection_id, document_id, current)
select %(collection)s, document_id, true from unnest(%(ids)s::text[]) as new (document_id)
on conflict (collection_id, document_id) do update set current = true where not held.current
returning document_id;

-- drop_members: let a collection hold nothing but these documents, and return what it held before
update interlock.collection_documents set current = false
where collection_id = %(collection)s and current and document_id <> all(%(ids)s::text[])
returning document_id;

-- count_lexemes: add the lexemes of some documents to a collection's counts, or with sign -1 take them away
insert into interlock.collection_lexemes as held (collection_id, lexeme, passages)
select %(collection)s, word.lexeme, count(*) * %(sign)s
from interlock.passages p cross join lateral unnest(p.lexemes) as word
where p.document_id = any(%(ids)s::text[])
group by word.lexeme
on conflict (collection_id, lexeme) do update set passages = held.passages + excluded.passages;

-- count_passages: count a collection's passages anew
update interlock.collections c
set passages = (
    select coalesce(sum(d.passages), 0)
    from interlock.collection_documents m join interlock.documents d using (document_id)
    where m.collection_id = c.collection_id and m.current
)
where c.collection_id = %(collection)s
returning c.passages;

-- analyze: let the planner know what a large ingestion brought
analyze interlock.documents, interlock.passages, interlock.collection_documents, interlock.collection_lexemes;

-- weigh: a collection's size and how many of its passages hold each lexeme of a query
select c.passages as total, word.lexeme, coalesce(held.passages, 0) as passages
from interlock.collections c
left join lateral unnest(interlock.lexemes(%(query)s)) as word on true
left join interlock.collection_lexemes held
    on held.collection_id = c.collection_id and held.lexeme = word.lexeme
where c.collection_id = %(collection)s
order by word.positions[1];

-- rank: passages with any of the telling lexemes, ranked by all, and which of them they hold
with hits as (
    select p.passage_id, ts_rank(%(weights)s::real[], p.lexemes, %(lexemes)s::tsquery, 1) as rank
    from interlock.passages p
    join interlock.collection_documents m using (document_id)
    where m.collection_id = %(collection)s and m.current and p.lexemes @@ %(telling)s::tsquery
    order by rank desc, p.passage_id
    limit %(candidates)s
)
select p.passage_id, hits.rank, array(
    select word.lexeme from unnest(p.lexemes) as word where word.lexeme = any(%(words)s::text[])
) as present
from hits join interlock.passages p using (passage_id);

-- passages: passages with what is known about them
select p.passage_id, p.document_id, d.source, p.title, p.heading, p.starts, p.ends,
    p.location_kind, p.location_first, p.location_last, p.text
from interlock.passages p join interlock.documents d using (document_id)
where p.passage_id = any(%(ids)s);

-- vectors: what is known of the meaning of some passages
select passage_id, vector from interlock.passage_vectors
where model = %(model)s and passage_id = any(%(ids)s);

-- keep_vectors: keep what passages mean to a model
insert into interlock.passage_vectors (passage_id, model, vector)
select passage_id, %(model)s, vector
from unnest(%(ids)s::bigint[], %(vectors)s::bytea[]) as new (passage_id, vector)
on conflict (passage_id, model) do nothing;

-- document: one document that belongs or belonged to a collection
select d.document_id, d.source, d.title, d.media, d.text, d.page_starts
from interlock.documents d join interlock.collection_documents m using (document_id)
where m.collection_id = %(collection)s and d.document_id = %(document)s;

-- documents: what a collection holds, by source name
select d.document_id, d.source, d.title, d.media, length(d.text) as characters
from interlock.documents d join interlock.collection_documents m using (document_id)
where m.collection_id = %(collection)s and m.current
order by d.source collate "C";

-- collection: whether there is such a collection
select collection_id from interlock.collections where collection_id = %(collection)s;
-- places: where the checkpoints of a thread stand, those of its subgraphs too
select checkpoint_ns as namespace, checkpoint_id, coalesce(parent_checkpoint_id, '') as parent_id,
    coalesce(metadata -> 'parents', '{}') as parents
from checkpoints where thread_id = %(thread_id)s;

-- copy_checkpoints: copy some checkpoints to another thread
insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
select %(to_thread_id)s, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.type, c.checkpoint, c.metadata
from checkpoints c
join unnest(%(namespaces)s::text[], %(checkpoints)s::text[]) as taken (namespace, checkpoint_id)
    on c.checkpoint_ns = taken.namespace and c.checkpoint_id = taken.checkpoint_id
where c.thread_id = %(thread_id)s;

-- copy_blobs: copy the values that the copied checkpoints of a thread refer to
insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
select %(to_thread_id)s, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
from (
    select distinct c.checkpoint_ns, v.channel, v.version
    from checkpoints c cross join lateral jsonb_each_text(c.checkpoint -> 'channel_versions') as v (channel, version)
    where c.thread_id = %(to_thread_id)s
) as used
join checkpoint_blobs b
    on b.thread_id = %(thread_id)s and b.checkpoint_ns = used.checkpoint_ns and b.channel = used.channel and b.version = used.version
on conflict do nothing;

-- copy_writes: copy what tasks wrote after the copied checkpoints; where tasks are still to run, neither questions nor answers
insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
select %(to_thread_id)s, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx, w.channel, w.type, w.blob, w.task_path
from checkpoint_writes w
join unnest(%(namespaces)s::text[], %(checkpoints)s::text[], %(extents)s::text[]) as taken (namespace, checkpoint_id, extent)
    on w.checkpoint_ns = taken.namespace and w.checkpoint_id = taken.checkpoint_id
where w.thread_id = %(thread_id)s and (taken.extent = 'whole' or (
    taken.extent = 'open' and w.channel not in ('__interrupt__', '__resume__') and w.task_id <> all(%(redone)s)
));

-- changes: what a fork had changed at a checkpoint before its tasks ran
select channel, type, blob from checkpoint_writes
where thread_id = %(thread_id)s and checkpoint_ns = %(namespace)s and checkpoint_id = %(checkpoint_id)s
    and task_id = %(null_task)s and channel not in ('__interrupt__', '__resume__') and channel <> all(%(replaced)s)
order by idx;

-- change: change the state at a checkpoint; LangGraph applies what no task wrote before it runs any
insert into checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
values (%(thread_id)s, %(namespace)s, %(checkpoint_id)s, %(null_task)s, %(idx)s, %(channel)s, %(type)s, %(blob)s, '');

-- ancestors: a thread, its parent, and so on; each with the steps of its parent between which it was forked
with recursive line as (
    select t.*, 0 as depth from interlock.threads t where t.thread_id = %(thread_id)s
    union all
    select p.*, line.depth + 1 from interlock.threads p join line on p.thread_id = line.parent_thread_id
)
select line.thread_id, line.parent_checkpoint_id, coalesce(step.began, '') as began, coalesce(
    case when step.inside then (
        select min(following.checkpoint_id) from checkpoints following
        where following.thread_id = line.parent_thread_id and following.checkpoint_ns = '' and following.parent_checkpoint_id = step.began
    ) else step.began end, ''
) as until
from line
left join lateral (
    select coalesce(c.metadata -> 'parents' ->> '', c.checkpoint_id) as began, c.checkpoint_ns <> '' as inside
    from checkpoints c where c.thread_id = line.parent_thread_id and c.checkpoint_id = line.parent_checkpoint_id limit 1
) step on true
order by line.depth;

-- tree: the root-most ancestor of a thread and all that was forked from it, parents before children
with recursive up as (
    select thread_id, parent_thread_id from interlock.threads where thread_id = %(thread_id)s
    union all
    select p.thread_id, p.parent_thread_id from interlock.threads p join up on p.thread_id = up.parent_thread_id
), down as (
    select t.*, 0 as depth from interlock.threads t
    where t.thread_id = (
        select thread_id from up
        where not exists (select from interlock.threads p where p.thread_id = up.parent_thread_id)
    )
    union all
    select t.*, down.depth + 1 from interlock.threads t join down on t.parent_thread_id = down.thread_id
)
select down.thread_id, down.parent_thread_id, down.parent_checkpoint_id, down.purpose, down.title, down.created_at,
    coalesce(run.status, '') as status, step.number as forked_at, coalesce(step.namespace, '') as forked_inside,
    (select count(*)::int from interlock.effects e where e.thread_id = down.thread_id and e.status = 'done' and e.source is null and not e.reads) as effects,
    (select coalesce(sum(m.input_tokens + m.output_tokens), 0)::int from interlock.model_calls m where m.thread_id = down.thread_id) as tokens
from down
left join lateral (
    select r.status from interlock.runs r where r.thread_id = down.thread_id order by r.number desc limit 1
) run on true
left join lateral (
    select (c.metadata ->> 'step')::int as number, c.checkpoint_ns as namespace
    from checkpoints c where c.thread_id = down.parent_thread_id and c.checkpoint_id = down.parent_checkpoint_id limit 1
) step on true
order by down.depth, down.created_at, down.thread_id;

-- effects_behind: effects of a thread that were done before another one parted from it: what came of their step, both have
select e.key from interlock.effects e
where e.thread_id = %(thread_id)s and exists (
    select from checkpoints own
    join checkpoints other on other.checkpoint_ns = own.checkpoint_ns and other.checkpoint_id = own.checkpoint_id
    where own.thread_id = %(thread_id)s and other.thread_id = %(other)s and own.parent_checkpoint_id = e.checkpoint_id
);
-- begin: write an intention that nothing stands against; no row means that something does
insert into interlock.effects as held (
    key, thread_id, run_id, node, agent, task, checkpoint_id, action, request, asked_for, arguments, cost, reversible, reads, verdict, approval, owner
)
select %(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(agent)s, %(task)s, %(checkpoint_id)s, %(action)s, %(request)s, %(asked_for)s,
    %(arguments)s, %(cost)s, %(reversible)s, %(reads)s, %(verdict)s, %(approval)s, %(owner)s
where not exists (
    select from interlock.questions q
    where q.effect = %(key)s and q.kind = 'approval' and q.status <> 'withdrawn' and q.question_id is distinct from %(approval)s
        and (%(approval)s::text is null or q.status = 'open' or q.granted = '')  -- a rejection stands beside an approval
) and (
    %(approval)s::text is null
    or exists (
        select from interlock.questions q
        where q.question_id = %(approval)s and q.thread_id = %(thread_id)s and q.status = 'answered' and q.granted = %(request)s
    )
) and (
    %(reversible)s or %(approval)s::text is not null
    or not exists (
        select from interlock.effects e
        where e.task = %(task)s and e.action = %(action)s and e.thread_id = %(thread_id)s and e.status <> 'not_done'
            and e.key <> all(%(asked)s::text[]) and cardinality(%(asked)s::text[]) > 0
    ) and not exists (
        select from interlock.branches(%(thread_id)s) as branch (thread_id) join interlock.effects e using (thread_id)
        where e.action = %(action)s and e.status <> 'not_done' and e.source is null
    )
)
on conflict (key) do update set
    status = 'intended', attempt = held.attempt + 1, owner = excluded.owner, error = '', request = excluded.request, asked_for = excluded.asked_for,
    arguments = excluded.arguments, cost = excluded.cost, verdict = excluded.verdict, approval = excluded.approval,
    run_id = excluded.run_id, settled_by = '', intended_at = now()
where held.status = 'not_done'
returning attempt;

-- standing: how an effect stands, whether its performer lives, and whether a person was asked about it
select e.key, e.status, e.attempt, e.request, e.arguments, e.result, e.error,
    e.status = 'intended' and e.owner <> '' and interlock.lives(e.owner) as underway,
    exists (
        select from interlock.questions q
        where q.effect = given.key and q.kind = 'approval' and q.status <> 'withdrawn'
    ) as asked
from (values (%(key)s::text)) as given (key)
left join interlock.effects e on e.key = given.key;

-- borrow: answer a request on a fork with the first equal effect of its parents that it has not used yet
insert into interlock.effects as held (
    key, thread_id, run_id, node, agent, task, checkpoint_id, action, request, asked_for, arguments, cost, reversible, reads, verdict,
    status, result, source, finished_at
)
select %(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(agent)s, %(task)s, %(checkpoint_id)s, e.action, e.request, e.asked_for, e.arguments,
    0, e.reversible, e.reads, e.verdict, 'done', e.result, e.key, now()
from interlock.effects e
join unnest(%(threads)s::text[], %(since)s::text[], %(before)s::text[]) as s (thread_id, since, before)
    on e.thread_id = s.thread_id and e.checkpoint_id >= s.since and (s.before = '' or e.checkpoint_id < s.before)
where e.asked_for = %(asked_for)s and e.status = 'done'
    and not exists (select from interlock.effects used where used.thread_id = %(thread_id)s and used.source = e.key)
order by e.number
limit 1
on conflict (key) do update set status = 'done', result = excluded.result, source = excluded.source, owner = '', finished_at = now()
where held.status = 'not_done'
returning source;

-- unused: what the parents of a fork did after it, with an action or a request, that the fork has not used
select e.key, e.thread_id, e.node, e.action, e.request, e.asked_for, e.arguments, e.status, e.attempt, e.error, e.intended_at,
    e.status = 'intended' and e.owner <> '' and interlock.lives(e.owner) as underway
from interlock.effects e
join unnest(%(threads)s::text[], %(since)s::text[], %(before)s::text[]) as s (thread_id, since, before)
    on e.thread_id = s.thread_id and e.checkpoint_id >= s.since and (s.before = '' or e.checkpoint_id < s.before)
where e.action = %(action)s and e.status <> 'not_done'
    and not exists (select from interlock.effects used where used.thread_id = %(thread_id)s and used.source = e.key)
order by e.number;

-- beside: what the same action did in an earlier attempt at a task, or on another branch of its thread
select e.key, e.thread_id, e.arguments, e.thread_id = %(thread_id)s as own
from interlock.effects e
where e.action = %(action)s and e.status <> 'not_done' and (
    (
        e.thread_id = %(thread_id)s and e.task = %(task)s and e.key <> all(%(asked)s::text[])
        and cardinality(%(asked)s::text[]) > 0
    )
    or (e.source is null and e.thread_id in (select interlock.branches(%(thread_id)s)))
)
order by e.number
limit 1;

-- refused_there: how a parent of a fork was refused the same request
select r.kind, r.reason, r.rule, r.in_a_row, r.refused_at
from interlock.refusals r
join unnest(%(threads)s::text[], %(since)s::text[], %(before)s::text[]) as s (thread_id, since, before)
    on r.thread_id = s.thread_id and r.checkpoint_id >= s.since and (s.before = '' or r.checkpoint_id < s.before)
where r.request = %(asked_for)s
    and not exists (select from interlock.effects e where e.key = r.key and e.status = 'done')
order by r.number;

-- waits_there: whether a parent of a fork waits for a person's word on the same request
select true as waits from interlock.questions q
join unnest(%(threads)s::text[]) as s (thread_id) on q.thread_id = s.thread_id
where q.digest = %(asked_for)s and q.kind = 'approval' and q.status = 'open';

-- claim: take on an effect whose performer is gone; no row means that somebody else did, or that it is settled
update interlock.effects set attempt = attempt + 1, owner = %(owner)s, error = ''
where key = %(key)s and attempt = %(attempt)s and status = 'intended' and (owner = '' or not interlock.lives(owner))
returning attempt;

-- finish: write the result of an act, also a second time where the first answer was lost; no row: somebody else took it on
update interlock.effects set status = 'done', result = %(result)s, owner = '', finished_at = now()
where key = %(key)s and attempt = %(attempt)s and (status = 'intended' or (status = 'done' and settled_by = ''))
returning key;

-- release: an attempt raised; nothing happened, or it is not known
update interlock.effects set owner = '', error = %(error)s, status = case when %(happened)s::boolean is false then 'not_done' else status end
where key = %(key)s and attempt = %(attempt)s and status = 'intended'
returning key;

-- settle: write down what became of an effect in doubt
update interlock.effects set
    status = case when %(happened)s then 'done' else 'not_done' end, result = %(result)s, owner = '',
    settled_by = %(settled_by)s, finished_at = now()
where key = %(key)s and attempt = %(attempt)s and status = 'intended' and (owner = '' or not interlock.lives(owner))
returning key;

-- refuse: note a refusal
insert into interlock.refusals (key, thread_id, run_id, node, agent, action, request, checkpoint_id, arguments, kind, reason, rule)
values (
    %(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(agent)s, %(action)s, %(asked_for)s, %(checkpoint_id)s, %(arguments)s, %(kind)s,
    %(reason)s, %(rule)s
)
on conflict (key) do update set reason = excluded.reason, kind = excluded.kind, rule = excluded.rule;

-- note_row: keep which refusal in a row this was, for replays
update interlock.refusals set in_a_row = %(in_a_row)s where key = %(key)s;

-- refused_in_a_row: which of the refusals this is that an agent had since it was last permitted something
select count(*)::int as count from interlock.refusals r
where r.thread_id = %(thread_id)s and r.agent = %(agent)s
    and r.number <= (select own.number from interlock.refusals own where own.key = %(key)s)
    and r.refused_at > coalesce((
        select max(e.intended_at) from interlock.effects e
        where e.thread_id = %(thread_id)s and e.agent = %(agent)s and e.status <> 'not_done' and not e.reads
    ), '-infinity');

-- times: how often a thread did the same before
select count(*)::int as count from interlock.effects
where thread_id = %(thread_id)s and request = %(request)s and status = 'done' and key <> %(key)s;

-- spent: what the acts of a thread cost by their estimates
select coalesce(sum(cost), 0) as cost from interlock.effects
where thread_id = %(thread_id)s and status <> 'not_done' and key <> %(besides)s;

-- effects: what was done to the world, or was about to be, newest first
select e.*, e.status = 'intended' and e.owner <> '' and interlock.lives(e.owner) as underway
from interlock.effects e
where not e.reads and (%(thread_id)s::text is null or e.thread_id = %(thread_id)s) and (not %(in_doubt)s or e.status = 'intended')
order by e.number desc limit %(limit)s::bigint;

-- effects_by_prefix: effects whose key starts with some characters
select e.*, e.status = 'intended' and e.owner <> '' and interlock.lives(e.owner) as underway
from interlock.effects e where starts_with(e.key, %(prefix)s) limit 3;

-- refusals: what was refused on a thread, oldest first
select * from interlock.refusals where %(thread_id)s::text is null or thread_id = %(thread_id)s order by number desc limit %(limit)s::bigint;
-- worked_on: how many threads are being worked on in this database; each session also holds the lock of its own name
select (count(*) - count(distinct pid))::int as threads from pg_locks join pg_stat_activity using (pid)
where locktype = 'advisory' and granted and objsubid = 1 and application_name = %(holder)s
    and database = (select oid from pg_database where datname = current_database());

-- drop_ours: remove everything that Interlock stored
drop schema if exists interlock cascade;

-- drop_checkpoints: remove everything that LangGraph stored
drop table if exists checkpoints, checkpoint_blobs, checkpoint_writes, checkpoint_migrations;

-- facts: what is known of the server and of our data
select current_setting('server_version') as version, pg_database_size(current_database()) as bytes,
    to_regclass('interlock.migrations') is not null as migrated;
-- address: let each target be told of what it was not told of yet; of an open question only the last of each kind
insert into interlock.notifications (event_id, target, name)
select e.id, t.target, t.name
from interlock.question_events e
join interlock.questions q on q.question_id = e.question_id
cross join unnest(%(targets)s::text[], %(names)s::text[]) as t (target, name)
where (
        (q.status = 'open' and e.kind in ('asked', 'reminded', 'escalated') and not exists (
            select from interlock.question_events later
            where later.question_id = e.question_id and later.id > e.id and later.kind = e.kind
        ))
        or (e.kind in ('answered', 'expired') and e.happened_at > now() - interval '7 days')
    )
    and not exists (select from interlock.notifications n where n.event_id = e.id and n.target = t.target)
order by e.id
on conflict (event_id, target) do nothing;

-- outdate: what tells of an open question is not sent once that is closed
update interlock.notifications n set status = 'outdated'
from interlock.question_events e join interlock.questions q on q.question_id = e.question_id
where e.id = n.event_id and n.status = 'waiting' and n.due_at <= now() and q.status <> 'open'
    and e.kind in ('asked', 'reminded', 'escalated');

-- claim: take what is due for as long as sending may take; should the sender die, it is due again
with due as (
    select id from interlock.notifications
    where status = 'waiting' and due_at <= now() and target = any(%(targets)s::text[])
    order by due_at, id limit %(limit)s for update skip locked
), claimed as (
    update interlock.notifications n
    set tries = n.tries + 1, due_at = now() + make_interval(secs => %(lease)s::float8)
    from due where n.id = due.id
    returning n.id, n.event_id, n.target, n.tries
)
select q.*, coalesce(q.deadline <= now(), false) as expired, c.id as notification, c.target, c.tries, e.kind as event, e.who, e.happened_at,
    e.detail
from claimed c
join interlock.question_events e on e.id = c.event_id
join interlock.questions q on q.question_id = e.question_id
order by c.id;

-- sent: a target has taken it
update interlock.notifications set status = 'sent', error = '', sent_at = now()
where id = %(id)s and status = 'waiting' and tries = %(tries)s
returning id;

-- not_sent: try again later, or give up after the last try
update interlock.notifications
set status = case when tries >= %(most)s then 'failed' else 'waiting' end, error = %(error)s,
    due_at = now() + make_interval(secs => %(pause)s::float8)
where id = %(id)s and status = 'waiting' and tries = %(tries)s
returning status;

-- notifications: what was told or is to be told, newest first
select n.id, e.question_id, e.kind as event, n.name as target, n.status, n.tries, n.error, n.due_at, n.sent_at
from interlock.notifications n join interlock.question_events e on e.id = n.event_id
where %(status)s::text is null or n.status = %(status)s
order by n.id desc limit %(limit)s;

-- count_failed: how many were given up
select count(*)::int as failed from interlock.notifications where status = 'failed';

-- try_again: let what was given up be due at once
update interlock.notifications set status = 'waiting', tries = 0, due_at = now() where status = 'failed';
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
-- open_thread: make a thread, or leave the one that exists
insert into interlock.threads (thread_id, graph, title, context, parent_thread_id, parent_checkpoint_id, lineage, purpose)
values (%(thread_id)s, %(graph)s, %(title)s, %(context)s, %(parent_thread_id)s, %(parent_checkpoint_id)s, %(lineage)s, %(purpose)s)
on conflict (thread_id) do nothing;

-- add_run: accept a run on a thread
insert into interlock.runs (run_id, thread_id, graph, kind, status, context, input_type, input, answers)
values (%(run_id)s, %(thread_id)s, %(graph)s, %(kind)s, 'queued', %(context)s, %(input_type)s, %(input)s, %(answers)s);

-- start_run: a process begins an attempt; no row means that the run went on since it was read
update interlock.runs
set status = 'running', attempts = attempts + 1, process = %(process)s, started_at = coalesce(started_at, now()), error = '', error_kind = '',
    context = %(context)s
where run_id = %(run_id)s and attempts = %(attempts)s and status in ('queued', 'running', 'failed');

-- end_run: a run ends, waits, or is handed back; no row means that another process has taken it on
update interlock.runs
set status = %(status)s, error = %(error)s, error_kind = %(error_kind)s, finished_at = case when %(status)s = 'queued' then null else now() end
where run_id = %(run_id)s and attempts = %(attempts)s and status = 'running';

-- touch_thread: note that something happened on a thread
update interlock.threads set updated_at = now() where thread_id = %(thread_id)s;

-- thread: one thread
select * from interlock.threads where thread_id = %(thread_id)s;

-- threads: the threads that something happened on lately, each with its latest run
select t.*, r.run_id, r.kind, r.status, r.attempts, r.error, r.error_kind
from interlock.threads t
left join lateral (select * from interlock.runs where thread_id = t.thread_id order by number desc limit 1) r on true
where %(graph)s::text is null or t.graph = %(graph)s
order by t.updated_at desc limit %(limit)s;

-- thread_by_prefix: the thread of this id, or those whose id starts with it; only generated ids may be abbreviated
select thread_id from interlock.threads
where thread_id = %(prefix)s or (starts_with(thread_id, %(prefix)s) and thread_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
order by thread_id <> %(prefix)s limit 3;

-- run: one run
select r.*, t.lineage from interlock.runs r join interlock.threads t using (thread_id) where r.run_id = %(run_id)s;

-- latest_run: the last run of a thread
select r.*, t.lineage from interlock.runs r join interlock.threads t using (thread_id)
where r.thread_id = %(thread_id)s order by r.number desc limit 1;

-- add_model_call: note what a model call took
insert into interlock.model_calls (thread_id, run_id, task_id, node, model, input_tokens, output_tokens, cost, seconds)
values (%(thread_id)s, %(run_id)s, %(task_id)s, %(node)s, %(model)s, %(input_tokens)s, %(output_tokens)s, %(cost)s, %(seconds)s);

-- usage_by_task: what the model calls of a thread took, by task of its graph
select task_id, count(*)::int as calls, sum(input_tokens)::int as input_tokens, sum(output_tokens)::int as output_tokens,
    case when count(*) = count(cost) then sum(cost) end as cost, sum(seconds) as seconds
from interlock.model_calls where thread_id = %(thread_id)s group by task_id;

-- count_by_status: how many threads stand in each status, each by its latest run
select status, count(*)::int as count
from (select distinct on (thread_id) status from interlock.runs order by thread_id, number desc) as latest
group by status;

-- lock_thread: try to hold a thread for as long as this session lives
select pg_try_advisory_lock(hashtextextended(%(thread_id)s, %(seed)s)) as locked;

-- unlock_thread: let go of a thread
select pg_advisory_unlock(hashtextextended(%(thread_id)s, %(seed)s)) as unlocked;

-- alive: the session answers, so it still holds what it held
select true as alive;

-- locked_threads: which of some threads a session holds
select thread_id from unnest(%(thread_ids)s::text[]) as t (thread_id), hashtextextended(t.thread_id, %(seed)s) as key
where exists (
    select from pg_locks
    where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())
        and objsubid = 1 and classid = (key >> 32 & 4294967295)::oid and objid = (key & 4294967295)::oid
);
-- standing: how far an agent is trusted with an action
select stage, right_count, wrong_count, since from interlock.standings where agent = %(agent)s and action = %(action)s;

-- standings: every pair that was judged
select agent, action, stage, right_count, wrong_count, since from interlock.standings order by agent, action;

-- add_judgement: count a judgement; no row means that there was one about the same before
insert into interlock.judgements (about, agent, action, was_right, reason, stage)
values (%(about)s, %(agent)s, %(action)s, %(was_right)s, %(reason)s, %(stage)s)
on conflict (about) do nothing returning judged_at;

-- judgement: what was judged about an effect or a question
select agent, action, was_right, reason, judged_at from interlock.judgements where about = %(about)s;

-- open_standing: make a standing, or leave the one that exists
insert into interlock.standings (agent, action, stage) values (%(agent)s, %(action)s, %(stage)s)
on conflict (agent, action) do nothing;

-- hold_standing: a standing, which nobody else may move until the end of the transaction
select stage, right_count, wrong_count, since from interlock.standings
where agent = %(agent)s and action = %(action)s for update;

-- move_standing: write what follows from a judgement
update interlock.standings
set stage = %(stage)s, right_count = %(right_count)s, wrong_count = %(wrong_count)s, since = %(since)s
where agent = %(agent)s and action = %(action)s;
