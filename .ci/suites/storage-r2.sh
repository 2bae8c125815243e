# The S3 adapter on R2, as Cloudflare's local runtime has it. The binding of R2 is tested in workerd by `npm test`.

check "a node's stores on R2 by its S3 API" env TEST_SERVERS=1 npx vitest run test/servers/r2.test.ts
