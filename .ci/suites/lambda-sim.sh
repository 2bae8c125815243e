# A function that is the node: schedules of its processes under faults, from a fixed set of seeds, and planted bugs that must
# be found; those that npm test leaves out.

check "schedules of a function that is the node are clean" \
  node test/runtimes/lambda/node/exploration/main.ts --from 7001 --seeds 300 --seconds 30
check "planted bugs are found" \
  node test/runtimes/lambda/node/exploration/planted-main.ts --seeds 600 --only \
  read-not-confirmed,leader-lease-after-thaw,ambiguous-is-failed,ambiguous-is-repeated,half-followed,not-fenced
check "planted bugs in what becomes of leases are found" \
  node test/runtimes/lambda/node/exploration/planted-main.ts --seeds 900 --only \
  lease-ends-with-its-owner,renewal-does-not-count,lease-of-a-former-owner,end-acknowledged-before-stored,lease-kept-for-ever,due-leases-left-to-their-timer,lease-time-begins-at-the-thaw
