-- A run that takes the place of questions takes that of a breakpoint, too: nobody else would go on there.
create or replace function interlock.give_way(a_thread text) returns boolean language plpgsql
    set enable_seqscan = off as $$
declare
    last text;
begin
    perform from interlock.threads where thread_id = a_thread for no key update;
    last := interlock.last_run(a_thread);
    if not exists (select from interlock.runs where run_id = last and status = 'waiting')
        or exists (select from interlock.timers where run_id = last and kind = 'wake' and state = 'set')
        or exists (
            select from interlock.runs where thread_id = a_thread
                and (status = 'running' or (status = 'queued' and (attempts > 0 or kind = 'resume')))
        )
    then
        return false;
    end if;
    perform interlock.cancel_run(last, 'interrupt', '', '');
    return true;
end
$$;
