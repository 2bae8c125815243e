# The log in an object store: schedules of rival owners under faults, from a fixed set of seeds, and planted bugs that
# must be found; those that npm test leaves out.

check "schedules are clean" node test/adapters/object-store/exploration/main.ts --from 1001 --seeds 2500
check "planted bugs are found" node test/adapters/object-store/exploration/planted-main.ts --seeds 1000 --only \
  conflict-is-fenced,one-slot-fenced,void-slots-count,fences-deleted,acknowledged-out-of-order,deleted-before-boundary,unknown-is-not-written,manifest-not-read-back,manifest-not-raised,told-hard-state-not-compared,acknowledged-before-durable,half-a-record-counts,goes-on-after-fencing,boundary-past-live-entries,hard-state-not-in-checkpoint,older-reset-undoes-compaction,lost-slot-suspected
check "schedules of a log in one store and votes in another are clean" \
  node test/adapters/object-store/exploration/bundle-main.ts --from 1001 --seeds 1000
