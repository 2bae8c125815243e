import { clientContract } from "./contract.ts";
import { appSite, embeddedSite, socketSite } from "./sites.ts";

clientContract("over the engine in this process", embeddedSite);
clientContract("over the HTTP app", appSite);
clientContract("over sockets", socketSite);
