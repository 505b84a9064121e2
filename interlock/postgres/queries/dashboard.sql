-- threads: threads by the run that each is at, the one that something happened on last first, behind a place
select t.thread_id, t.graph, t.title, t.purpose, t.created_at, t.updated_at, coalesce(t.parent_thread_id, '') as parent_thread_id,
    coalesce(t.context ->> 'model', '') as model, coalesce(r.run_id, '') as run_id, coalesce(r.status, '') as status,
    coalesce(r.error, '') as error, coalesce(r.error_kind, '') as error_kind,
    used.calls, used.tokens, used.cost
from interlock.threads t
left join interlock.runs r on r.run_id = interlock.present_run(t.thread_id)
left join lateral (
    select count(*)::int as calls, coalesce(sum(m.input_tokens + m.output_tokens), 0)::bigint as tokens,
        case when count(*) = count(m.cost) then coalesce(sum(m.cost), 0) end as cost
    from interlock.model_calls m where m.thread_id = t.thread_id
) used on true
where (%(graph)s = '' or t.graph = %(graph)s)
    and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
    and (%(text)s = '' or position(lower(%(text)s) in lower(t.title)) > 0 or starts_with(t.thread_id, %(text)s)
        or position(lower(%(text)s) in lower(r.error)) > 0
        or exists (select from interlock.runs o where o.thread_id = t.thread_id and starts_with(o.run_id, %(text)s)))
    and (%(before)s::timestamptz is null or (t.updated_at, t.thread_id) < (%(before)s::timestamptz, %(before_id)s::text))
order by t.updated_at desc, t.thread_id desc limit %(limit)s;

-- graphs: the graphs that there are threads of
select distinct t.graph from interlock.threads t where t.graph <> '' order by t.graph;

-- calls: the model calls of a thread, oldest first, each with the checkpoint that its task started from
select m.node, m.task_id, m.model, m.input_tokens, m.output_tokens, m.cost, m.seconds, m.called_at, coalesce(w.checkpoint_id, '') as ran_from
from interlock.model_calls m
left join lateral (
    select min(c.checkpoint_id) as checkpoint_id from checkpoint_writes c
    where c.thread_id = m.thread_id and c.checkpoint_ns = '' and c.task_id = m.task_id
) w on true
where m.thread_id = %(thread_id)s order by m.id;

-- acts: of each effect of a thread, the checkpoint of its own graph that the task started from
select e.key, coalesce(w.checkpoint_id, '') as ran_from
from interlock.effects e
left join lateral (
    select min(c.checkpoint_id) as checkpoint_id from checkpoint_writes c
    where c.thread_id = e.thread_id and c.checkpoint_ns = '' and c.task_id = split_part(split_part(e.task, '|', 1), ':', 2)
) w on true
where e.thread_id = %(thread_id)s;

-- runs: the runs of a thread, oldest first
select r.run_id, r.kind, r.status, r.attempts, r.error, r.error_kind, r.created_at, r.started_at, r.finished_at, r.process
from interlock.runs r where r.thread_id = %(thread_id)s order by r.number;

-- line: the checkpoints of a thread's own graph, each with the one before it
select c.checkpoint_id, coalesce(c.parent_checkpoint_id, '') as parent_id from checkpoints c
where c.thread_id = %(thread_id)s and c.checkpoint_ns = '' order by c.checkpoint_id desc;

-- ran_from: the checkpoint of a thread's own graph that a place inside a subgraph was run from
select coalesce(c.metadata -> 'parents' ->> '', '') as checkpoint_id from checkpoints c
where c.thread_id = %(thread_id)s and c.checkpoint_ns <> '' and c.checkpoint_id = %(checkpoint_id)s limit 1;

-- tasks: the tasks of a thread that wrote something, those of its subgraphs too; the node is empty where a task was sent to it
select distinct w.checkpoint_ns as namespace, w.task_id,
    case when starts_with(w.task_path, '~__pregel_pull, ') then split_part(w.task_path, ', ', 2) else '' end as node
from checkpoint_writes w
where w.thread_id = %(thread_id)s and w.task_path <> ''
    and w.channel not in ('__error__', '__interrupt__', '__resume__', '__scheduled__');

-- beats: how some threads stand, each with a mark that changes with whatever happens to them
select t.thread_id, coalesce(r.status, '') as status,
    concat_ws(
        '~', r.run_id, r.status, r.attempts, t.updated_at,
        (select max(c.checkpoint_id) from checkpoints c where c.thread_id = t.thread_id and c.checkpoint_ns = ''),
        (select max(e.id) from interlock.run_events e where e.run_id = r.run_id),
        (select max(m.id) from interlock.model_calls m where m.thread_id = t.thread_id),
        (select count(*) || '/' || coalesce(max(e.finished_at)::text, '') from interlock.effects e where e.thread_id = t.thread_id),
        (select count(*) || '/' || coalesce(max(x.id)::text, '') from interlock.questions q left join interlock.question_events x using (question_id)
            where q.thread_id = t.thread_id)
    ) as mark
from interlock.threads t
left join interlock.runs r on r.run_id = interlock.present_run(t.thread_id)
where t.thread_id = any(%(thread_ids)s);

-- letter: the open letter of a run
select l.letter_id from interlock.letters l where l.run_id = %(run_id)s and l.status = 'open';

-- figures: how many questions and dead letters are open
select (select count(*) from interlock.questions where status = 'open')::int as approvals,
    (select count(*) from interlock.letters where status = 'open')::int as letters;

-- under: the runs that have not ended and that a switch would stand over, by graph and by how they stand
select r.graph, r.status, count(*)::int as runs from interlock.runs r
where r.status in ('queued', 'running', 'waiting') and (r.status <> 'waiting' or r.run_id = interlock.present_run(r.thread_id))
    and case %(scope)s::text
        when 'all' then true
        when 'tenant' then coalesce(r.context ->> 'tenant', '') = %(name)s
        when 'graph' then r.graph = %(name)s
        when 'thread' then r.thread_id = %(name)s
        else r.run_id = %(name)s
    end
group by r.graph, r.status order by runs desc, r.graph, r.status;

-- flow: what happened to runs in each of the last minutes, of the newest events only, and by how much it moved the queue and what is worked on
with latest as (
    select id, run_id, at, kind,
        case when kind in ('submitted', 'queued', 'released', 'lost', 'woken') then 'queued' when kind = 'claimed' then 'working' else 'out' end as place
    from interlock.run_events
    where id > (select coalesce(max(id), 0) - 20000 from interlock.run_events) and at > clock_timestamp() - %(minutes)s * interval '1 minute'
), moved as (
    select l.at, l.kind, l.place, coalesce(
        lag(l.place) over (partition by l.run_id order by l.id),
        case when l.place = 'queued' or r.created_at > clock_timestamp() - %(minutes)s * interval '1 minute' then 'out'
            when l.place = 'working' then 'queued' else 'working' end
    ) as before
    from latest l left join interlock.runs r using (run_id)
)
select floor(extract(epoch from clock_timestamp() - at) / 60)::int as minutes_ago, kind, count(*)::int as events,
    sum((place = 'queued')::int - (before = 'queued')::int)::int as queued,
    sum((place = 'working')::int - (before = 'working')::int)::int as working
from moved group by minutes_ago, kind order by minutes_ago, kind;

-- failures: the runs that failed since a time, the newest first: those that have a letter, by their letters, and those that nobody buried
(
    select l.kind, l.error_type, l.graph, l.node, left(l.error, 400) as error, l.buried_at as at, l.letter_id, l.status, l.thread_id
    from interlock.letters l where l.buried_at > %(since)s order by l.buried_at desc limit %(limit)s
) union all (
    select '', r.error_kind, r.graph, '', left(r.error, 400), r.finished_at, '', '', r.thread_id
    from interlock.runs r
    where r.status = 'failed' and r.finished_at > %(since)s and r.error_kind <> 'RolledBack'
        and not exists (select from interlock.letters l where l.run_id = r.run_id)
    order by r.finished_at desc limit %(limit)s
)
order by at desc limit %(limit)s;
