-- accept: accept runs where nothing stands in their way; those that were accepted
select run_id, created_at, lineage from interlock.take_on(
    '', '', 0, '{}', %(news)s, %(inputs)s, %(of_the_run)s::text[], 0, false, '{}', 0, '', '{}', '{}'
);

-- begin: accept runs where nothing stands in their way, hold their threads, and begin with them; those that were begun
select t.run_id, t.created_at, t.lineage, t.fresh, t.limited, l.*
from interlock.take_up(%(process)s, %(seed)s, %(news)s, %(inputs)s, %(of_the_run)s::text[]) t
left join lateral (
    select found.* from interlock.latest_checkpoint(t.run_id, %(most_bytes)s) found where not t.fresh
) l on true;
