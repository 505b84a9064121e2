-- Of which version of its graph's schema the input of a run is; before versions it was the first.
alter table interlock.runs add column schema_version integer not null default 1;
