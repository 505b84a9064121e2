-- What failed lately, for the dashboard: runs that nobody buried, and dead letters.
create index runs_failed on interlock.runs (finished_at) where status = 'failed';
create index letters_buried on interlock.letters (buried_at);
