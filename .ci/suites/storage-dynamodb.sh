# The DynamoDB adapter on AWS's own DynamoDB Local, a Java program that an npm package carries.

command -v java >/dev/null || skip "DynamoDB Local needs Java"

fetch() {
  cd "$WORK_DIR" && npm pack --silent amplify-dynamodb-simulator@2.9.30 >/dev/null && tar xzf ./*.tgz && rm ./*.tgz
}
(fetch) || { echo "DynamoDB Local could not be fetched"; exit 1; }

serve_dynamodb() {
  cd "$WORK_DIR/package/emulator" &&
    exec java -Xmx512m -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar \
      -inMemory -disableTelemetry -port "$1"
}
port=$(node -e 'const s = require("node:net").createServer(); s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
start_server dynamodb serve_dynamodb "$port"
export DYNAMODB_ENDPOINT=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_REGION=us-east-1
wait_until 30 curl -s "$DYNAMODB_ENDPOINT" || { cat "$WORK_DIR/dynamodb.log"; exit 1; }

check "the port of object stores, a node's stores, and what only DynamoDB has" \
  env TEST_SERVERS=1 npx vitest run test/servers/dynamodb.test.ts
check "a member is taken over, and nothing acknowledged is lost" \
  node test/blackbox/storage-takeover.ts --rounds=1 "--storage=dynamodb://engine/takeover?endpoint=$DYNAMODB_ENDPOINT&createTable=true"
check "three members are killed and paused, and nothing acknowledged is lost" \
  node test/blackbox/cluster-kill.ts --seconds=30 "--storage=dynamodb://engine/cluster?endpoint=$DYNAMODB_ENDPOINT"
check "a member beside the others copies a snapshot by its name, one elsewhere is sent its bytes" \
  node test/blackbox/storage-snapshot-by-name.ts "--storage=dynamodb://engine/by-name?endpoint=$DYNAMODB_ENDPOINT"
check "a function before a node, both frozen or killed at times, sees every acknowledged write in the store" \
  node test/blackbox/lambda-front.ts "--storage=dynamodb://engine/lambda?endpoint=$DYNAMODB_ENDPOINT&createTable=true"
