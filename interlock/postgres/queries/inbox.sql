-- inbox: what waits for a person and fits, oldest first, a page of it
select *, coalesce(deadline <= now(), false) as expired from interlock.questions
where status = 'open' and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
    and (%(graph)s = '' or graph = %(graph)s)
    and (%(action)s = '' or coalesce(payload -> 'action_requests' -> 0 ->> 'name', '') = %(action)s)
order by asked_at, number limit %(limit)s::bigint offset %(offset)s::bigint;

-- inbox_before: how much of that stands before a question, which may be closed by now
select count(*)::int as before from interlock.questions q, interlock.questions place
where q.status = 'open' and (%(thread_id)s::text is null or q.thread_id = %(thread_id)s)
    and (%(graph)s = '' or q.graph = %(graph)s)
    and (%(action)s = '' or coalesce(q.payload -> 'action_requests' -> 0 ->> 'name', '') = %(action)s)
    and place.question_id = %(question_id)s and (q.asked_at, q.number) < (place.asked_at, place.number);

-- inbox_kinds: how much waits for a person, by graph and action
select graph, coalesce(payload -> 'action_requests' -> 0 ->> 'name', '') as action, count(*)::int as many from interlock.questions
where status = 'open' and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
group by 1, 2 order by 1, 2;
