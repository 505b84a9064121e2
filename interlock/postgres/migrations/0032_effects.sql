-- Write an intention that nothing stands against, and return which attempt it is; null means that something does.
-- It is planned once for a session: planning it anew for the values of each act takes longer than doing it. So it is
-- looked for branches of the thread by the index of threads, one after the other.
create function interlock.begin_effect(
    its_key text, its_thread text, its_run text, its_node text, its_agent text, its_task text, its_checkpoint text,
    its_action text, its_request text, was_asked_for text, its_arguments jsonb, its_cost double precision,
    can_be_undone boolean, only_reads boolean, its_verdict jsonb, its_approval text, its_owner text,
    its_worker text, earlier_keys text[]
) returns integer language plpgsql
set plan_cache_mode = 'force_generic_plan' as $$
declare
    its_attempt integer;
begin
    insert into interlock.effects as held (
        key, thread_id, run_id, node, agent, task, checkpoint_id, action, request, asked_for, arguments, cost, reversible, reads, verdict,
        approval, owner
    )
    select its_key, its_thread, its_run, its_node, its_agent, its_task, its_checkpoint, its_action, its_request, was_asked_for,
        its_arguments, its_cost, can_be_undone, only_reads, its_verdict, its_approval, its_owner
    where not exists (
        select from interlock.questions q
        where q.effect = its_key and q.kind = 'approval' and q.status <> 'withdrawn' and q.question_id is distinct from its_approval
            and (its_approval is null or q.status = 'open' or q.granted = '')  -- a rejection stands beside an approval
    ) and (
        its_approval is null
        or exists (
            select from interlock.questions q
            where q.question_id = its_approval and q.thread_id = its_thread and q.status = 'answered' and q.granted = its_request
        )
    ) and (
        can_be_undone or its_approval is not null
        or not exists (
            select from interlock.effects e where e.key = any(earlier_keys) and e.status <> 'not_done'
        ) and not exists (
            select from interlock.branches(its_thread) as branch (thread_id)
            cross join lateral (
                select from interlock.effects e
                where e.thread_id = branch.thread_id and e.action = its_action and e.status <> 'not_done' and e.source is null
                order by e.intended_at limit 1
            ) done
        )
    ) and (
        its_worker = '' or exists (select from interlock.workers w where w.worker_id = its_worker for key share)
    )
    on conflict (key) do update set
        status = 'intended', attempt = held.attempt + 1, owner = excluded.owner, error = '', request = excluded.request,
        asked_for = excluded.asked_for, arguments = excluded.arguments, cost = excluded.cost, verdict = excluded.verdict,
        approval = excluded.approval, run_id = excluded.run_id, settled_by = '', intended_at = now()
    where held.status = 'not_done'
    returning held.attempt into its_attempt;
    return its_attempt;
end
$$;
