-- stored: what a thread's checkpoints, values and writes take, with what they refer to: of each channel, of all values, and of the rest
with recursive reached (part, channel, hash) as (
    select v.part, v.channel, l.hash
    from (
        select 'channel' as part, b.channel, b.blob as body from checkpoint_blobs b
        where b.thread_id = %(thread_id)s and split_part(b.type, '+', 1) = 'segments'
        union all
        select 'writes', '', w.blob from checkpoint_writes w
        where w.thread_id = %(thread_id)s and split_part(w.type, '+', 1) = 'segments'
    ) v cross join lateral checkpoint_links(v.body) as l (hash)
    union
    select r.part, r.channel, l.hash from reached r
    join checkpoint_content c on c.hash = r.hash and c.kind & 15 = 1
    cross join lateral checkpoint_links(c.body) as l (hash)
), sized as (
    select r.part, r.channel, r.hash, pg_column_size(c.*) as bytes from reached r join checkpoint_content c on c.hash = r.hash
), values_stored as (
    select b.channel, count(*) as number, sum(pg_column_size(b.*)) as bytes from checkpoint_blobs b
    where b.thread_id = %(thread_id)s group by b.channel
)
select 'channel' as part, v.channel, v.number::bigint,
    (v.bytes + coalesce((select sum(s.bytes) from sized s where s.part = 'channel' and s.channel = v.channel), 0))::bigint as bytes
from values_stored v
union all
select 'values', '', coalesce(sum(v.number), 0)::bigint, (coalesce(sum(v.bytes), 0) + coalesce((
    select sum(once.bytes) from (select distinct s.hash, s.bytes from sized s where s.part = 'channel') once
), 0))::bigint from values_stored v
union all
select 'checkpoints', '', count(*), coalesce(sum(pg_column_size(c.*)), 0)::bigint from checkpoints c where c.thread_id = %(thread_id)s
union all
select 'writes', '', count(*), (coalesce(sum(pg_column_size(w.*)), 0) + coalesce((
    select sum(s.bytes) from sized s
    where s.part = 'writes' and not exists (select from sized o where o.part = 'channel' and o.hash = s.hash)
), 0))::bigint from checkpoint_writes w where w.thread_id = %(thread_id)s;
