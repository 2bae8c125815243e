// R2 as Cloudflare's own local runtime has it: by its S3 API, and as a binding.

import { convertV4MiniflareOptions, Miniflare } from "miniflare";

export const R2_BUCKET = "engine";
export const R2_CREDENTIALS = { accessKeyId: "local", secretAccessKey: "local-secret" };

export interface LocalR2 {
  /** For the S3 dialect's `endpoint`. */
  readonly endpoint: string;
  stop(): Promise<void>;
}

/** In memory, on a free loopback port. */
export async function startLocalR2(): Promise<LocalR2> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      modules: true,
      script: "export default { fetch: () => new Response('here') }",
      compatibilityDate: "2026-10-01",
      r2Buckets: { BUCKET: { id: R2_BUCKET, s3Credentials: R2_CREDENTIALS } },
    }),
  );
  const url = await miniflare.ready;
  return {
    endpoint: new URL("/cdn-cgi/local/r2/s3", url).href,
    stop: () => miniflare.dispose(),
  };
}
