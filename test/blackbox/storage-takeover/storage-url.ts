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
  const program = [VERSITYGW, MINIO, FAKE_GCS].find((each) => each.name === name);
  if (program === undefined)
    throw new Error("say --storage=URL, or --server=versitygw, minio or fake-gcs-server");
  const server = await startObjectServer(program);
  run.cleanUp(() => server.stop());
  if (program === FAKE_GCS) {
    await createGcsBucket(server.endpoint, BUCKET);
    return `gs://${BUCKET}/takeover?endpoint=${server.endpoint}`;
  }
  const client = localS3Client(server.endpoint);
  await createS3Bucket(client, BUCKET);
  client.destroy();
  process.env["AWS_ACCESS_KEY_ID"] = S3_CREDENTIALS.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = S3_CREDENTIALS.secretAccessKey;
  return `s3://${BUCKET}/takeover?region=us-east-1&endpoint=${server.endpoint}`;
}
