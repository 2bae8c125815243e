# The whole cluster under every fault, from a fixed set of seeds; crashes at effects of one short run; planted bugs that
# must be found; and every state of a small group.

check "seeds are clean" node test/sim/main.ts --seeds 1..300
check "crash points are clean" node test/sim/main.ts --crash-points --every 40
check "planted bugs are found" node test/sim/mutants-main.ts --quick --limit 50
if [[ -e test/sim/exhaustive/main.ts ]]; then
  check "every state of a small group is clean" node test/sim/exhaustive/main.ts --depth 9 --quiet
fi
