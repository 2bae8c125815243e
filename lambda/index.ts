// The functions that `npm run build:lambda` bundles and lambda/template.yaml deploys: `handler` stands in front of nodes,
// `node` is the node itself.

import { frontHandler, nodeHandler } from "../src/runtimes/lambda/index.ts";

export const handler = frontHandler(process.env);
export const node = nodeHandler(process.env);
