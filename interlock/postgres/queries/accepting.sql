-- accept: accept a run where nothing stands in its way; no row, and no change, where something does
select * from interlock.accept_run(
    %(run_id)s, %(thread_id)s, %(graph)s, %(title)s, %(thread_context)s, %(context)s, %(input_type)s, %(input)s, %(schema_version)s,
    %(multitask_strategy)s, %(priority)s, %(card)s, %(replaces_questions)s, %(enqueue)s
);
