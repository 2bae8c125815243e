# The whole cluster under every fault, from a fixed set of seeds; crashes at effects of one short run; planted bugs that
# must be found; and the first states of a small group.

check "seeds are clean" node test/sim/main.ts --seeds 1..300
check "crash points are clean" node test/sim/main.ts --crash-points --every 40
check "planted bugs are found" node test/sim/mutants-main.ts --quick --limit 50
check "the states of a small group are clean" node test/sim/exhaustive/main.ts --depth 9 --max-states 150000 --quiet
# All but the one that takes the search a minute.
check "bugs planted into a small group are found" node test/sim/exhaustive/main.ts --max-states 100000 --mutant \
  vote-before-durable,vote-forgotten-in-term,vote-for-any-log,own-vote-before-durable,commit-old-term,heartbeat-commit-unmatched,append-ack-before-durable,leader-counts-undurable-self,aba-persisted,change-before-noop,change-while-another-pends,change-applied-before-commit-durable,campaign-with-unapplied-change,joint-half-forgotten
