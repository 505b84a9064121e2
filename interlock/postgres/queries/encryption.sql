-- key_names: with which ciphers something is encrypted, and how many rows
select cipher, sum(many)::bigint as rows from (
    select split_part(type, '+', 2) as cipher, count(*) as many from checkpoint_blobs group by 1
    union all select split_part(type, '+', 2), count(*) from checkpoint_writes group by 1
    union all
    select convert_from(substring(body from 1 for position('\x00'::bytea in body) - 1), 'LATIN1'), count(*)
    from checkpoint_content where kind >= 16 group by 1
    union all select cipher, count(*) from checkpoint_keys group by 1
    union all select split_part(input_type, '+', 2), count(*) from interlock.runs group by 1
    union all select split_part(answer_type, '+', 2), count(*) from interlock.recordings group by 1
    union all select split_part(asked ->> 'encrypted', ':', 1), count(*) from interlock.recordings where asked ? 'encrypted' group by 1
    union all select cipher, count(*) from interlock.blob_pieces group by 1
    union all select cipher, count(*) from interlock.stream_events group by 1
    union all
    select split_part(value ->> '__interlock_sealed__', ':', 1), count(*) from store
    where value ? '__interlock_sealed__' and prefix like 'tenant=%%' group by 1
) as found
where cipher <> '' group by cipher order by cipher;

-- plain_items: how many items of the store are not encrypted
select count(*)::bigint as items from store where not value ? '__interlock_sealed__' and prefix like 'tenant=%%';
