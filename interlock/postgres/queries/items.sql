-- get: items of one namespace, without refreshing how long they live
select key, value, created_at, updated_at from store
where prefix = %(prefix)s and key = any(%(keys)s) and (expires_at is null or expires_at > now());

-- expire: delete items whose time is over
delete from store where expires_at <= now() and prefix like 'tenant=%%';

-- index: make the table of vectors where there is none; what its vectors are made with
select * from interlock.index_items(%(embed)s, %(dims)s);

-- unindex: forget all vectors, and what they were made with
select interlock.unindex_items();

-- forget: the vectors of items that are put again, as some of them may not be made again
delete from store_vectors v using unnest(%(prefixes)s::text[], %(keys)s::text[]) as put (prefix, key)
where v.prefix = put.prefix and v.key = put.key;

-- vectors: of items that were put just now
insert into store_vectors (prefix, key, field_name, embedding)
select v.prefix, v.key, v.field, v.embedding::vector
from unnest(%(prefixes)s::text[], %(keys)s::text[], %(fields)s::text[], %(embeddings)s::text[]) as v (prefix, key, field, embedding)
on conflict (prefix, key, field_name) do update set embedding = excluded.embedding, updated_at = current_timestamp;

-- page: items in order, after one of them
select prefix, key, value, updated_at from store
where (prefix, key) > (%(prefix)s, %(key)s) and prefix like 'tenant=%%' and (expires_at is null or expires_at > now())
order by prefix, key limit %(limit)s;

-- fill: vectors of items that have not changed since they were read, and have none yet
insert into store_vectors (prefix, key, field_name, embedding)
select v.prefix, v.key, v.field, v.embedding::vector
from unnest(%(prefixes)s::text[], %(keys)s::text[], %(read)s::timestamptz[], %(fields)s::text[], %(embeddings)s::text[])
    as v (prefix, key, read, field, embedding)
join store s on s.prefix = v.prefix and s.key = v.key and s.updated_at = v.read
on conflict do nothing;

-- changed: items under a namespace, last changed first
select prefix, key, value, created_at, updated_at, null::double precision as score from store
where (prefix = %(prefix)s or prefix like %(below)s escape '\') and (expires_at is null or expires_at > now())
order by updated_at desc, prefix, key;

-- nearest: items under a namespace, the one with the nearest vector first; no limit is all of them
with compared as materialized (
    select s.prefix, s.key, v.embedding <=> %(vector)s::vector as distance
    from store s join store_vectors v on v.prefix = s.prefix and v.key = s.key
    where (s.prefix = %(prefix)s or s.prefix like %(below)s escape '\') and (s.expires_at is null or s.expires_at > now())
), near as (
    select prefix, key, min(distance) as distance from compared group by prefix, key
    order by min(distance), prefix, key limit %(limit)s offset %(offset)s
)
select s.prefix, s.key, s.value, s.created_at, s.updated_at, 1 - near.distance as score
from near join store s on s.prefix = near.prefix and s.key = near.key
order by near.distance, s.prefix, s.key;

-- refresh: let the time of items begin anew, in one order for all who do this at once
with found as (
    select s.prefix, s.key from store s join unnest(%(prefixes)s::text[], %(keys)s::text[]) as f (prefix, key)
        on s.prefix = f.prefix and s.key = f.key
    where s.ttl_minutes is not null order by s.prefix, s.key for no key update of s
)
update store s set expires_at = now() + s.ttl_minutes * interval '1 minute'
from found where s.prefix = found.prefix and s.key = found.key;

-- sealing: since when items are encrypted, if they are
select since from interlock.item_sealing;

-- begin_sealing: encrypt items from now on
insert into interlock.item_sealing default values on conflict do nothing;

-- sealed: the cipher of an item under a namespace that is encrypted, if there is any
select split_part(value ->> '__interlock_sealed__', ':', 1) as cipher from store
where value ? '__interlock_sealed__' and (prefix = %(prefix)s or prefix like %(below)s escape '\') limit 1;

-- ciphers: with which ciphers items are encrypted
select distinct split_part(value ->> '__interlock_sealed__', ':', 1) as cipher from store
where value ? '__interlock_sealed__' and prefix like 'tenant=%%';

-- unsealed: items in order, after one of them, that are not encrypted with a cipher
select prefix, key, value, hashtextextended(value::text, 0) as mark from store
where (prefix, key) > (%(prefix)s, %(key)s) and prefix like 'tenant=%%'
    and split_part(value ->> '__interlock_sealed__', ':', 1) is distinct from %(cipher)s
order by prefix, key limit %(limit)s;

-- seal: put encrypted values in the place of those that were read, unless they have changed
update store s set value = v.value
from unnest(%(prefixes)s::text[], %(keys)s::text[], %(marks)s::bigint[], %(values)s::jsonb[]) as v (prefix, key, mark, value)
where s.prefix = v.prefix and s.key = v.key and hashtextextended(s.value::text, 0) = v.mark;

-- probe: the vector that was made of the text which is always the same
select vector from interlock.item_probe where text = %(text)s;

-- keep_probe: keep a vector of the text where none is kept; the one that is
insert into interlock.item_probe as p (text, vector) values (%(text)s, %(vector)s::real[])
on conflict (text) do update set since = p.since returning p.vector;
