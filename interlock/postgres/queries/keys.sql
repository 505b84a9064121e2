-- add: store a new key
insert into interlock.keys (key_id, name, hash, roles, tenant, created_by, expires_at)
values (
    %(key_id)s, %(name)s, %(hash)s, %(roles)s, %(tenant)s, %(by)s, clock_timestamp() + %(seconds)s * interval '1 second'
)
returning *;

-- key: one key, with whether it may be used now
select *, revoked_at is null and (expires_at is null or expires_at > clock_timestamp()) as valid
from interlock.keys where key_id = %(key_id)s;

-- keys: all keys, the latest first
select *, revoked_at is null and (expires_at is null or expires_at > clock_timestamp()) as valid
from interlock.keys order by created_at desc, key_id;

-- any: one key, if any was ever made
select key_id from interlock.keys limit 1;

-- revoke: end a key now, and the sessions that were begun with it
with gone as (delete from interlock.sessions where key_id = %(key_id)s)
update interlock.keys set revoked_at = clock_timestamp(), revoked_by = %(by)s
where key_id = %(key_id)s and revoked_at is null returning *;

-- replace: let a key end after a time of grace, and say which one came in its place
update interlock.keys set
    replaced_by = %(new)s,
    expires_at = least(expires_at, clock_timestamp() + %(grace)s * interval '1 second')
where key_id = %(key_id)s and revoked_at is null and replaced_by = '' returning *;

-- begin_session: begin a session of the dashboard, and forget those that have expired
with gone as (delete from interlock.sessions where expires_at < clock_timestamp())
insert into interlock.sessions (hash, key_id, csrf, expires_at)
select %(hash)s, k.key_id, %(csrf)s, least(k.expires_at, clock_timestamp() + %(seconds)s * interval '1 second')
from interlock.keys k where k.key_id = %(key_id)s
returning csrf, expires_at;

-- session: a session that has not expired, with its key
select k.*, s.csrf, s.expires_at as session_expires_at
from interlock.sessions s join interlock.keys k using (key_id)
where s.hash = %(hash)s and s.expires_at > clock_timestamp()
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp());

-- end_session: end a session
delete from interlock.sessions where hash = %(hash)s;
