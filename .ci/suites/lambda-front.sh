# A function in front of a node, as it is deployed: the bundle, AWS's own runtime client and emulator, and a process that
# is stopped between its invocations, while its node is killed and its log trimmed.

install_lambda_runtime

if command -v go >/dev/null; then
  install_go_program github.com/versity/versitygw/cmd/versitygw@v1.8.0 &&
    install_go_program github.com/fsouza/fake-gcs-server@v1.56.1 || exit 1
  for server in versitygw fake-gcs-server; do
    check "every acknowledged write is seen in the store, $server" \
      node test/blackbox/lambda-front.ts "${LAMBDA_RUNTIME[@]}" --server=$server
  done
else
  skip_check "no S3 and no GCS server: they are built with Go"
fi

if command -v java >/dev/null; then
  start_dynamodb_local || exit 1
  check "every acknowledged write is seen in the store, DynamoDB Local" \
    node test/blackbox/lambda-front.ts "${LAMBDA_RUNTIME[@]}" \
    "--storage=dynamodb://engine/lambda?endpoint=$DYNAMODB_ENDPOINT&createTable=true"
else
  skip_check "no DynamoDB Local: it needs Java"
fi

if [[ ${LAMBDA_RUNTIME[*]} == *--ric=* ]]; then
  check "a watch leaves the function as it comes, and ends before the invocation" \
    node test/blackbox/lambda-streaming.ts "${LAMBDA_RUNTIME[@]:0:1}"
else
  skip_check "no streaming without aws-lambda-ric"
fi
