-- accept: accept runs where nothing stands in their way; those that were accepted
select run_id, created_at, lineage from interlock.take_on(
    '', '', 0, '{}', %(news)s, %(inputs)s, %(of_the_run)s::text[], 0, false, '{}', 0, '', '{}', '{}'
);
