import { DurableObject } from "cloudflare:workers";

/*
 * The Worker in which the tests named `*.workerd.test.ts` run: they share its isolate and reach into its objects.
 */

/** An object that does nothing by itself: a place for storage. */
export class StorageObject extends DurableObject {}

export default {
  fetch(): Response {
    return new Response(null, { status: 404 });
  },
} satisfies ExportedHandler;
