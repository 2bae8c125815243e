# A function that is the node, as it is deployed: the bundle, AWS's own runtime client and emulator, and processes that
# are stopped between their invocations.

install_lambda_runtime

if command -v go >/dev/null && install_go_program github.com/versity/versitygw/cmd/versitygw@v1.8.0; then
  check "a function that is the node, its log on an S3 server" \
    node test/blackbox/lambda.ts "${LAMBDA_RUNTIME[@]}" --server=versitygw --seconds=10
else
  skip_check "no S3 server: versitygw is built with Go"
fi

if command -v go >/dev/null && install_go_program github.com/fsouza/fake-gcs-server@v1.56.1; then
  check "a function that is the node, its log on fake-gcs-server" \
    node test/blackbox/lambda.ts "${LAMBDA_RUNTIME[@]}" --server=fake-gcs-server --seconds=5 --at-once=6 --clients=2
else
  skip_check "no GCS server: fake-gcs-server is built with Go"
fi

if command -v java >/dev/null; then
  start_dynamodb_local || exit 1
  check "a function that is the node, its log on DynamoDB Local" \
    node test/blackbox/lambda.ts "${LAMBDA_RUNTIME[@]}" --seconds=5 --at-once=6 --clients=2 \
    "--storage=dynamodb://engine/lambda?createTable=true&endpoint=$DYNAMODB_ENDPOINT"
else
  skip_check "no DynamoDB Local: it needs Java"
fi
