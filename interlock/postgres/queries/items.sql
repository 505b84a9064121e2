-- get: items of one namespace, without refreshing how long they live
select key, value, created_at, updated_at from store
where prefix = %(prefix)s and key = any(%(keys)s) and (expires_at is null or expires_at > now());

-- expire: delete items whose time is over
delete from store where expires_at <= now() and prefix like 'tenant=%%';
