# The whole cluster under every fault, from a fixed set of seeds; crashes at effects of one short run; planted bugs that
# must be found; and the first states of a small group.

check "seeds are clean" node test/sim/main.ts --seeds 1..300
check "crash points are clean" node test/sim/main.ts --crash-points --every 40
check "planted bugs are found" node test/sim/mutants-main.ts --quick --limit 50
if [[ -e test/sim/exhaustive/main.ts ]]; then
  check "the states of a small group are clean" node test/sim/exhaustive/main.ts --depth 9 --max-states 150000 --quiet
fi
