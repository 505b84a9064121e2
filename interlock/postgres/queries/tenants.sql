-- here: what the names of roles are made from, since roles are the cluster's
select current_database() as database;

-- tenants: all tenants with their roles
select tenant, role_name, added_by, added_at from interlock.tenants order by tenant;

-- tenant: one tenant with its role
select tenant, role_name, added_by, added_at from interlock.tenants where tenant = %(tenant)s;

-- add: note a tenant and its role
insert into interlock.tenants (tenant, role_name, added_by) values (%(tenant)s, %(role)s, %(by)s)
on conflict (tenant) do nothing;

-- make_role: make a tenant's role within the group of all tenants
select interlock.make_tenant_role(%(role)s, %(group)s);

-- remove: forget a tenant; its rows stay
delete from interlock.tenants where tenant = %(tenant)s returning role_name;

-- remove_role: take a role away, which owns nothing
select interlock.drop_tenant_role(%(role)s);

-- unparted: the tables on which tenants are not parted from each other yet, or by another rule
select g.relation, g.table_name from interlock.guarded_tables() g
where not exists (
    select from pg_policy p join pg_class c on c.oid = p.polrelid
    where p.polrelid = g.relation and p.polname = 'tenants' and c.relrowsecurity
        and obj_description(p.oid, 'pg_policy') = md5(interlock.rule_of(g.relation) || %(group)s)
)
order by g.table_name;

-- patience: let what follows in this transaction wait a second for a table
select set_config('lock_timeout', '1s', true);

-- part: part tenants from each other on one table
select interlock.part_tenants(%(table)s, %(group)s);

-- me: the role that asks
select current_user::text as role;
