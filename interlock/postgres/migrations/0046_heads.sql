-- A thread's latest checkpoint comes with the claim of a run that begins on it, and costs no statement of its own.

-- The latest checkpoint of a run's thread, with all content that it refers to, where that is small and nothing was written beside it.
-- Called for what a statement has just begun with, whose thread is held: being volatile it looks anew, and sees what was committed
-- before the thread was let go of, also where the statement around it began before that. Of one that is damaged nothing is told: its
-- run finds that out by itself, and all others that are claimed with it begin.
create function interlock.latest_checkpoint(a_run text, most_bytes integer) returns table (
    checkpoint_id text, parent_checkpoint_id text, checkpoint jsonb, metadata jsonb, channels text[], types text[], bodies bytea[],
    content_hash bytea[], content_kind smallint[], content_body bytea[]
) language plpgsql rows 1
    set enable_seqscan = off as $$
#variable_conflict use_column
declare
    rest bigint;  -- bytes that it may still take
    links bytea[];
    kinds smallint[];
    parts bytea[];
begin
    select c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata, b.channels, b.types, b.bodies,
        most_bytes - b.bytes - pg_column_size(c.checkpoint) - pg_column_size(c.metadata),
        case when b.refers and b.bytes <= most_bytes then array(
            select distinct l.hash from unnest(b.types, b.bodies) as v (type, body)
            cross join lateral checkpoint_links(case when split_part(v.type, '+', 1) = 'segments' then v.body end) as l (hash)
        ) end
    into checkpoint_id, parent_checkpoint_id, checkpoint, metadata, channels, types, bodies, rest, links
    from interlock.runs r
    cross join lateral (
        select l.* from checkpoints l where l.thread_id = r.thread_id and l.checkpoint_ns = '' order by l.checkpoint_id desc limit 1
    ) c
    cross join lateral (
        select array_agg(bl.channel) as channels, array_agg(bl.type) as types,
            array_agg(bl.blob) filter (where coalesce(octet_length(bl.blob), 0) <= most_bytes) as bodies,  -- more is not even read
            coalesce(sum(octet_length(bl.blob)), 0) as bytes, bool_or(split_part(bl.type, '+', 1) = 'segments') as refers
        from jsonb_each_text(c.checkpoint -> 'channel_versions') as v (channel, version)
        cross join lateral (
            select each.channel, each.type, each.blob from checkpoint_blobs each
            where each.thread_id = c.thread_id and each.checkpoint_ns = '' and each.channel = v.channel and each.version = v.version
            limit 1 -- by its key: a join is planned from estimates
        ) bl
    ) b
    left join lateral (
        select true as was_written from checkpoint_writes each
        where each.thread_id = c.thread_id and each.checkpoint_ns = '' and each.checkpoint_id = c.checkpoint_id
        limit 1 -- as above
    ) w on true
    where r.run_id = a_run and w.was_written is null
        and (c.checkpoint -> 'v')::integer >= 4;  -- an older one goes with what its parent's tasks sent
    if checkpoint_id is null or rest < 0 then
        return;
    end if;
    while cardinality(links) > 0 loop
        if 256 * cardinality(links) > rest then  -- each is looked up: many small ones count, too
            return;
        end if;
        with part as materialized (
            select p.* from unnest(links) as n (hash)
            cross join lateral (select c.hash, c.kind, c.body from checkpoint_content c where c.hash = n.hash limit 1) p
        )
        select content_hash || array_agg(p.hash), array_agg(p.kind), array_agg(p.body), rest - sum(octet_length(p.body))
        into content_hash, kinds, parts, rest
        from part p where (select sum(octet_length(s.body)) from part s) <= rest;  -- else nothing of it is unpacked
        if rest is null then
            return;
        end if;
        content_kind := content_kind || kinds;
        content_body := content_body || parts;
        links := array(
            select distinct l.hash from unnest(kinds, parts) as n (kind, body)
            cross join lateral checkpoint_links(case when n.kind & 15 = 1 then n.body end) as l (hash)
            where l.hash <> all(content_hash)
        );
    end loop;
    return next;
exception when others then
    return;
end
$$;
