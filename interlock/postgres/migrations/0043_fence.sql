-- A claim alone does not wait for the disk, so a crash of the server may take it back, and another may have the run while the row
-- of the worker that had claimed it is still there: it was written long before. So what a worker saves is refused from the moment on
-- at which the session ended that registered it, as each does in a crash, and not only once another has removed its row.
create or replace function interlock.fenced_flush(
    fence text[],
    seen bigint,
    content_hash bytea[], content_kind smallint[], content_body bytea[],
    reference_holder text[], reference_hash bytea[],
    blob_thread text[], blob_ns text[], blob_channel text[], blob_version text[], blob_type text[], blob_body bytea[],
    write_thread text[], write_ns text[], write_checkpoint text[], write_task text[], write_path text[], write_idx integer[],
    write_channel text[], write_type text[], write_body bytea[], write_over boolean[],
    put_thread text[], put_ns text[], put_checkpoint text[], put_parent text[], put_body text[], put_metadata text[]
) returns bigint
language plpgsql as $$
declare
    found_here integer;
begin
    perform from interlock.workers where worker_id = any(fence) for key share;
    get diagnostics found_here = row_count;
    if found_here < cardinality(fence) then
        raise exception 'the worker was removed' using errcode = 'IL001';
    end if;
    -- A lock that can be had is held by nobody: a look at all locks, as `interlock.lives`, takes longer than the rest.
    for found_here in 1..cardinality(fence) loop
        if pg_try_advisory_xact_lock_shared(hashtextextended(fence[found_here], 7919)) then
            raise exception 'the session of the worker has ended' using errcode = 'IL001';
        end if;
    end loop;
    return checkpoint_flush(
        seen, content_hash, content_kind, content_body, reference_holder, reference_hash,
        blob_thread, blob_ns, blob_channel, blob_version, blob_type, blob_body,
        write_thread, write_ns, write_checkpoint, write_task, write_path, write_idx,
        write_channel, write_type, write_body, write_over,
        put_thread, put_ns, put_checkpoint, put_parent, put_body, put_metadata
    );
end
$$;
