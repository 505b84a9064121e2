-- What limits are stored is looked at each second while somebody watches, and every run has a budget.
create index budgets_limited on interlock.budgets (kind, name) where limits <> array_fill(null::numeric, array[8]);
