declare namespace Cloudflare {
  interface Env {
    readonly STORAGE: DurableObjectNamespace<import("./main.ts").StorageObject>;
    readonly BUCKET: R2Bucket;
  }
}
