-- begin: write an intention that nothing stands against; no row means that something does
select attempt from interlock.begin_effect(
    %(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(agent)s, %(task)s, %(checkpoint_id)s, %(action)s, %(request)s, %(asked_for)s,
    %(arguments)s, %(cost)s, %(reversible)s, %(reads)s, %(verdict)s, %(approval)s, %(owner)s, %(worker)s, %(earlier)s::text[]
) as attempt
where attempt is not null;

-- begin_first: write the first intention of its kind at a task, and tell what the same action did there, or in steps taken back, before
select attempt, earlier from interlock.begin_first_effect(
    %(key)s, %(thread_id)s, %(run_id)s, %(node)s, %(agent)s, %(task)s, %(checkpoint_id)s, %(action)s, %(request)s, %(asked_for)s,
    %(arguments)s, %(cost)s, %(reversible)s, %(reads)s, %(verdict)s, %(owner)s, %(worker)s,
    %(asked)s::text[], %(abandoned_since)s::text[], %(abandoned_before)s::text[]
);

-- done_since: what a thread did to the world, or may have done, from a checkpoint on
select action, arguments from interlock.effects
where thread_id = %(thread_id)s and checkpoint_id >= %(checkpoint_id)s and status <> 'not_done' and not reads and source is null
order by number;

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

-- beside: what the same action did in an earlier attempt at a task, in steps taken back, or on another branch of its thread
select e.key, e.thread_id, e.arguments, case
    when e.thread_id <> %(thread_id)s then 'fork' when e.task = %(task)s then 'attempt' else 'abandoned' end as relation
from interlock.effects e
where e.thread_id = any(array(select %(thread_id)s::text union all select interlock.branches(%(thread_id)s)))
    and e.action = %(action)s and e.status <> 'not_done' and case
        when e.thread_id <> %(thread_id)s then e.source is null
        else e.key <> all(%(asked)s::text[]) and cardinality(%(asked)s::text[]) > 0 and (
            e.task = %(task)s or exists (
                select from unnest(%(abandoned_since)s::text[], %(abandoned_before)s::text[]) as a (since, before)
                where e.checkpoint_id >= a.since and e.checkpoint_id < a.before
            )
        )
    end
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
    and (%(worker)s = '' or exists (select from interlock.workers w where w.worker_id = %(worker)s for key share))
returning attempt;

-- registered: whether a worker is still here
select worker_id from interlock.workers where worker_id = %(worker)s;

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
