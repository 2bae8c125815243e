# The S3 adapter on R2, as Cloudflare's local runtime has it. The binding of R2 is tested in workerd by `npm test`.

check "a node's stores on R2 by its S3 API" env TEST_SERVERS=1 npx vitest run test/servers/r2.test.ts
check "a member on R2 is taken over, and nothing acknowledged is lost" \
  node test/blackbox/storage-takeover.ts --server=r2 --rounds=1
check "three members on R2 are killed and paused, and nothing acknowledged is lost" \
  node test/blackbox/cluster-kill.ts --server=r2 --seconds=20
