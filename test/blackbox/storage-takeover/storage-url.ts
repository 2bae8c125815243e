import { R2_BUCKET, R2_CREDENTIALS, startLocalR2 } from "../../adapters/object-store/miniflare-r2.ts";
import {
  createGcsBucket,
  createS3Bucket,
  FAKE_GCS,
  localS3Client,
  MINIO,
  S3_CREDENTIALS,
  startObjectServer,
  VERSITYGW,
} from "../../servers/object-servers.ts";
import type { Run } from "../support/program.ts";

const BUCKET = "engine";

/** The store that the command line names, or that of a server started for the length of the run. */
export async function storageUrl(run: Run): Promise<string> {
  const [given, name] = [run.option("storage"), run.option("server")];
  if (given !== undefined) return given;
  if (name === "r2") {
    const server = await startLocalR2();
    run.cleanUp(() => server.stop());
    setCredentials(R2_CREDENTIALS);
    return `r2://${R2_BUCKET}/takeover?endpoint=${server.endpoint}`;
  }
  const program = [VERSITYGW, MINIO, FAKE_GCS].find((each) => each.name === name);
  if (program === undefined)
    throw new Error("say --storage=URL, or --server=versitygw, minio, fake-gcs-server or r2");
  const server = await startObjectServer(program);
  run.cleanUp(() => server.stop());
  if (program === FAKE_GCS) {
    await createGcsBucket(server.endpoint, BUCKET);
    return `gs://${BUCKET}/takeover?endpoint=${server.endpoint}`;
  }
  const client = localS3Client(server.endpoint);
  await createS3Bucket(client, BUCKET);
  client.destroy();
  setCredentials(S3_CREDENTIALS);
  return `s3://${BUCKET}/takeover?region=us-east-1&endpoint=${server.endpoint}`;
}

/** Of the servers that are started from here. */
function setCredentials({ accessKeyId, secretAccessKey }: typeof S3_CREDENTIALS): void {
  process.env["AWS_ACCESS_KEY_ID"] = accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = secretAccessKey;
}
