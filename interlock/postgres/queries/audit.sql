-- note: add a row behind the last one
select interlock.note_audit(%(entry)s) as number;

-- rows: rows after a number, oldest first, of an identity, tenant, act or subject where one is given
select number, at, entry, hash from interlock.audit
where number > %(after)s
    and (%(identity)s::text is null or identity = %(identity)s)
    and (%(tenant)s::text is null or tenant = %(tenant)s)
    and (%(act)s::text is null or act = %(act)s)
    and (%(subject)s::text is null or subject = %(subject)s)
order by number limit %(limit)s;

-- latest: the latest rows, the newest first, of an identity, tenant, act or subject where one is given
select number, at, entry, hash from interlock.audit
where (%(before)s::bigint is null or number < %(before)s)
    and (%(identity)s::text is null or identity = %(identity)s)
    and (%(tenant)s::text is null or tenant = %(tenant)s)
    and (%(act)s::text is null or act = %(act)s)
    and (%(subject)s::text is null or subject = %(subject)s)
order by number desc limit %(limit)s;
