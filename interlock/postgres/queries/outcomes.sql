-- report: write down what came of a run
insert into interlock.outcomes (run_id, thread_id, met, score, note, detail, reported_by)
select r.run_id, r.thread_id, %(met)s, %(score)s, %(note)s, %(detail)s, %(by)s
from interlock.runs r where r.run_id = %(run_id)s
returning outcome_id;

-- outcomes: what came of runs, the latest first
select o.*, r.graph
from interlock.outcomes o join interlock.runs r using (run_id)
where (%(run_id)s::text is null or o.run_id = %(run_id)s)
    and (%(graph)s::text is null or r.graph = %(graph)s)
    and (%(since)s::timestamptz is null or o.reported_at >= %(since)s)
order by o.reported_at desc, o.outcome_id desc
limit %(limit)s;

-- one: one report
select o.*, r.graph from interlock.outcomes o join interlock.runs r using (run_id) where o.outcome_id = %(outcome_id)s;

-- sums: of each graph, by the last report on each run
select r.graph, count(*)::int as runs, count(*) filter (where o.met)::int as met,
    count(*) filter (where not o.met)::int as missed, avg(o.score)::float8 as score
from (
    select distinct on (run_id) run_id, met, score, reported_at from interlock.outcomes
    where %(since)s::timestamptz is null or reported_at >= %(since)s
    order by run_id, reported_at desc, outcome_id desc
) o
join interlock.runs r using (run_id)
group by r.graph order by r.graph;
