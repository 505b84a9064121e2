-- As before; and a run that only went on, and was stopped before it had made a checkpoint, left the nodes that it was to run.
create or replace function interlock.client_status(a_run text, goes_on boolean, written_at timestamptz) returns text language sql stable as $$
    select coalesce((
        select case
            when r.status = 'queued' and r.error_kind = 'breakpoint' then 'interrupted'
            when r.status in ('queued', 'running') then 'busy'
            when written_at > r.finished_at then case when goes_on then 'interrupted' else 'idle' end
            when r.status = 'waiting' then 'interrupted'
            when r.status in ('failed', 'dead', 'killed') then 'error'
            when r.status = 'cancelled' and r.error_kind <> 'RolledBack' and (
                (r.attempts > 0 and r.context -> 'driving' @> jsonb_build_object('goes_on', true, 'run_id', r.run_id))
                or exists (
                    select from checkpoints c where c.thread_id = r.thread_id and c.checkpoint_ns = ''
                        and c.metadata ->> 'run_id' = any(interlock.chain(r.run_id))
                )
            ) then 'interrupted'
            else 'idle'
        end
        from interlock.runs r where r.run_id = a_run
    ), case when goes_on then 'interrupted' else 'idle' end)
$$;
