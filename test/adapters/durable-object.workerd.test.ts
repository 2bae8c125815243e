import { storageConformance } from "./conformance.ts";
import { objectSite } from "../workerd/storage-site.ts";

storageConformance("durable object", { site: objectSite, histories: 10 });
