# The DynamoDB adapter on AWS's own DynamoDB Local, a Java program that an npm package carries.

command -v java >/dev/null || skip "DynamoDB Local needs Java"

start_dynamodb_local || exit 1

check "the port of object stores, a node's stores, and what only DynamoDB has" \
  env TEST_SERVERS=1 npx vitest run test/servers/dynamodb.test.ts
check "a member is taken over, and nothing acknowledged is lost" \
  node test/blackbox/storage-takeover.ts --rounds=1 "--storage=dynamodb://engine/takeover?endpoint=$DYNAMODB_ENDPOINT&createTable=true"
check "three members are killed and paused, and nothing acknowledged is lost" \
  node test/blackbox/cluster-kill.ts --seconds=30 "--storage=dynamodb://engine/cluster?endpoint=$DYNAMODB_ENDPOINT"
check "a member beside the others copies a snapshot by its name, one elsewhere is sent its bytes" \
  node test/blackbox/storage-snapshot-by-name.ts "--storage=dynamodb://engine/by-name?endpoint=$DYNAMODB_ENDPOINT"
check "a backup becomes three members in a table" \
  node test/blackbox/storage-restore.ts "--storage=dynamodb://engine/restored?endpoint=$DYNAMODB_ENDPOINT&createTable=true"
