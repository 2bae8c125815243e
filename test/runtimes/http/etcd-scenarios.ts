/** One request to the gateway. */
export interface Step {
  readonly path: string;
  readonly body: string;
  /** The refusal is the JSON reader's own: same status and code, but Go's words are not ours. */
  readonly ownWords?: true;
}

/** Requests that are sent in order to a fresh single node. */
export interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
}

const range = (body: string): Step => ({ path: "/v3/kv/range", body });
const put = (body: string): Step => ({ path: "/v3/kv/put", body });
const deleteRange = (body: string): Step => ({ path: "/v3/kv/deleterange", body });
const txn = (body: string): Step => ({ path: "/v3/kv/txn", body });
const compact = (body: string): Step => ({ path: "/v3/kv/compaction", body });
const refused = (step: Step): Step => ({ ...step, ownWords: true });

/** Puts a=1, b=2, c=3, a=4: revisions 2 to 5. */
const SEED: readonly Step[] = [
  put('{"key":"YQ==","value":"MQ=="}'),
  put('{"key":"Yg==","value":"Mg=="}'),
  put('{"key":"Yw==","value":"Mw=="}'),
  put('{"key":"YQ==","value":"NA=="}'),
];

/** What is asked of etcd when replies are recorded, and of our app when they are compared. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "put",
    steps: [
      put('{"key":"YQ==","value":"MQ=="}'),
      put('{"key":"YQ==","value":"MQ==","prev_kv":true}'),
      put('{"key":"YQ==","value":"Mg==","prevKv":true,"unknown":{"deep":[1]}}'),
      put('{"key":"YQ==","prev_kv":true}'),
      put('{"key":"YQ==","ignore_value":true,"prev_kv":true}'),
      put('{"key":"YQ==","value":"Mg==","ignore_value":true}'),
      put('{"key":"bm9uZQ==","ignore_value":true}'),
      put('{"key":"YQ==","lease":"123"}'),
      put('{"key":"YQ==","lease":"123","ignore_lease":true}'),
      put('{"key":"bm9uZQ==","ignore_lease":true}'),
      put('{"value":"MQ=="}'),
      put('{"key":""}'),
      put("{}"),
      put(""),
      put("null"),
      put('{"key":null}'),
      put('{"key":"+/+/AAE=","value":"AAECA/8="}'),
      range('{"key":"+/+/AAE="}'),
      { path: "/v3beta/kv/put", body: '{"key":"YQ==","value":"OQ=="}' },
    ],
  },
  {
    name: "range",
    steps: [
      range('{"key":"YQ=="}'),
      ...SEED,
      range('{"key":"YQ=="}'),
      range('{"key":"YQ==","serializable":true}'),
      range('{"key":"YQ==","range_end":"Yw=="}'),
      range('{"key":"YQ==","rangeEnd":"AA=="}'),
      range('{"key":"AA==","range_end":"AA==","keys_only":true}'),
      range('{"key":"AA==","range_end":"AA==","count_only":true}'),
      range('{"key":"Yw==","range_end":"YQ=="}'),
      range('{"key":"AA==","range_end":"AA==","limit":"2"}'),
      range('{"key":"AA==","range_end":"AA==","limit":3}'),
      range('{"key":"AA==","range_end":"AA==","limit":-1}'),
      range('{"key":"AA==","range_end":"AA==","sort_order":"DESCEND"}'),
      range('{"key":"AA==","range_end":"AA==","sort_order":2,"sort_target":"VALUE"}'),
      range('{"key":"AA==","range_end":"AA==","sort_order":"ASCEND","sort_target":"MOD","limit":1}'),
      range('{"key":"AA==","range_end":"AA==","sort_target":"VERSION","sortOrder":"DESCEND","limit":1}'),
      range('{"key":"AA==","range_end":"AA==","min_mod_revision":"4"}'),
      range('{"key":"AA==","range_end":"AA==","max_create_revision":3,"limit":1}'),
      range('{"key":"YQ==","revision":2}'),
      range('{"key":"YQ==","revision":"4"}'),
      range('{"key":"YQ==","revision":1}'),
      range('{"key":"YQ==","revision":-3}'),
      range('{"key":"YQ==","revision":6}'),
      range('{"key":"YQ==","revision":"9223372036854775807"}'),
      range('{"key":"YQ==","revision":9223372036854775807}'),
      range("{}"),
      range('{"range_end":"AA=="}'),
    ],
  },
  {
    name: "deleterange",
    steps: [
      ...SEED,
      deleteRange('{"key":"bm9uZQ=="}'),
      deleteRange('{"key":"YQ==","prev_kv":true}'),
      deleteRange('{"key":"YQ=="}'),
      deleteRange('{"key":"AA==","range_end":"AA==","prev_kv":true}'),
      range('{"key":"AA==","range_end":"AA=="}'),
      put('{"key":"YQ==","value":"NQ=="}'),
      range('{"key":"YQ=="}'),
      deleteRange("{}"),
      deleteRange('{"range_end":"AA=="}'),
    ],
  },
  {
    name: "txn replies",
    steps: [
      ...SEED,
      txn("{}"),
      txn('{"success":[{"request_range":{"key":"YQ=="}}]}'),
      txn(
        '{"success":[{"request_range":{"key":"YQ=="}},{"request_put":{"key":"ZA==","value":"MQ=="}},{"request_range":{"key":"ZA=="}},{"request_txn":{"success":[{"request_range":{"key":"YQ==","count_only":true}},{"request_put":{"key":"ZQ=="}}]}},{"request_delete_range":{"key":"bm9uZQ=="}}]}',
      ),
      txn('{"success":[{"request_delete_range":{"key":"bm9uZQ=="}},{"request_range":{"key":"YQ=="}}]}'),
      txn(
        '{"success":[{"request_delete_range":{"key":"bm9uZQ=="}},{"request_range":{"key":"YQ=="}},{"request_put":{"key":"Zw=="}}]}',
      ),
      txn(
        '{"success":[{"requestDeleteRange":{"key":"YQ==","prevKv":true}},{"requestPut":{"key":"Zg==","value":"MQ==","prevKv":true}},{"requestRange":{"key":"YQ=="}}]}',
      ),
      txn('{"success":[{"request_range":{"key":"YQ==","range_end":"AA==","revision":"3"}}]}'),
      txn(
        '{"compare":[{"key":"Yg==","target":"VALUE","value":"OQ=="}],"success":[{"request_put":{"key":"Yg=="}}],"failure":[{"request_txn":{"compare":[{"key":"Yg==","target":"MOD","mod_revision":"3"}],"success":[{"request_put":{"key":"Yg==","value":"Nw==","prev_kv":true}}]}}]}',
      ),
    ],
  },
  {
    name: "txn compares",
    steps: [
      ...SEED,
      txn('{"compare":[{"key":"YQ==","target":"VERSION","version":"2","result":"EQUAL"}]}'),
      txn('{"compare":[{"key":"YQ==","target":"VERSION","version":2,"result":"NOT_EQUAL"}]}'),
      txn('{"compare":[{"key":"YQ==","target":0,"version":"1","result":1}]}'),
      txn('{"compare":[{"key":"YQ==","target":"CREATE","create_revision":"2"}]}'),
      txn('{"compare":[{"key":"YQ==","target":"MOD","mod_revision":"6","result":"LESS"}]}'),
      txn('{"compare":[{"key":"YQ==","target":"MOD","modRevision":"9223372036854775807","result":"LESS"}]}'),
      txn('{"compare":[{"key":"YQ==","target":"MOD","mod_revision":"-5","result":"GREATER"}]}'),
      txn('{"compare":[{"key":"YQ==","target":"VALUE","value":"NA=="}]}'),
      txn('{"compare":[{"key":"YQ==","target":"VALUE","value":"Mw==","result":"GREATER"}]}'),
      txn('{"compare":[{"key":"YQ==","target":"LEASE"}]}'),
      txn('{"compare":[{"key":"bm9uZQ==","target":"VERSION"}]}'),
      txn('{"compare":[{"key":"bm9uZQ==","target":"VALUE"}]}'),
      txn('{"compare":[{"key":"bm9uZQ==","target":"VALUE","result":"NOT_EQUAL","value":"MQ=="}]}'),
      txn('{"compare":[{"key":"YQ==","range_end":"ZA==","target":"CREATE","result":"GREATER"}]}'),
      txn('{"compare":[{"key":"YQ==","range_end":"ZA==","target":"VERSION","version":1}]}'),
      txn('{"compare":[{"key":"YQ==","target":"VALUE","version":"2","result":"EQUAL"}]}'),
    ],
  },
  {
    name: "txn refusals",
    steps: [
      ...SEED,
      txn('{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}'),
      txn(
        '{"success":[{"request_put":{"key":"YQ=="}},{"request_delete_range":{"key":"YQ==","range_end":"Yg=="}}]}',
      ),
      txn(
        '{"success":[{"request_put":{"key":"YQ=="}},{"request_txn":{"failure":[{"request_put":{"key":"YQ=="}}]}}]}',
      ),
      // Neither an inverted range nor one with an open end collides with its own first key.
      txn(
        '{"success":[{"request_put":{"key":"YQ=="}},{"request_delete_range":{"key":"YQ==","range_end":"QQ=="}}]}',
      ),
      txn(
        '{"success":[{"request_put":{"key":"YQ=="}},{"request_delete_range":{"key":"YQ==","range_end":"AA=="}}]}',
      ),
      txn('{"success":[{"request_put":{"value":"YQ=="}}]}'),
      txn('{"success":[{"request_range":{"range_end":"YQ=="}}]}'),
      txn('{"success":[{"request_delete_range":{}}]}'),
      txn('{"compare":[{"target":"VERSION"}]}'),
      txn('{"success":[{"request_put":{"key":"bm9uZQ==","ignore_value":true}}]}'),
      txn('{"success":[{"request_put":{"key":"bm9uZQ==","lease":"5"}}]}'),
      // Which of two mistakes is named: in a transaction the other one than without.
      txn('{"success":[{"request_put":{"key":"bm9uZQ==","lease":"5","ignore_value":true}}]}'),
      put('{"key":"bm9uZQ==","lease":"5","ignore_value":true}'),
      txn(
        '{"success":[{"request_range":{"key":"YQ==","revision":"99"}},{"request_txn":{"success":[{"request_put":{"key":"YQ==","lease":"5"}}]}}]}',
      ),
      txn('{"success":[{"request_range":{"key":"YQ==","revision":"99"}},{"request_put":{"key":"YQ=="}}]}'),
      txn(`{"success":[${Array<string>(129).fill('{"request_range":{"key":"YQ=="}}').join(",")}]}`),
      txn(`{"compare":[${Array<string>(129).fill('{"key":"YQ=="}').join(",")}]}`),
      range('{"key":"AA==","range_end":"AA=="}'),
    ],
  },
  {
    name: "compaction",
    steps: [
      ...SEED,
      compact('{"revision":"4"}'),
      compact('{"revision":4}'),
      compact('{"revision":"3"}'),
      compact('{"revision":"99","physical":true}'),
      compact('{"revision":"5","physical":true}'),
      range('{"key":"YQ==","revision":"4"}'),
      range('{"key":"YQ==","revision":"5"}'),
      txn('{"success":[{"request_range":{"key":"YQ==","revision":"2"}}]}'),
    ],
  },
  {
    name: "bodies that are not what they should be",
    steps: [
      refused(put('{"key":"YQ=="')),
      refused(put("[]")),
      refused(put("5")),
      refused(put('{"key":5}')),
      refused(put('{"key":"Y"}')),
      refused(put('{"key":"Y*=="}')),
      refused(put('{"key":"YQ==","prev_kv":"true"}')),
      refused(put('{"key":"YQ==","lease":"x"}')),
      refused(put('{"key":"YQ==","lease":"9223372036854775808"}')),
      refused(range('{"key":"YQ==","limit":1.5}')),
      refused(range('{"key":"YQ==","limit":[]}')),
      refused(range('{"key":"YQ==","sort_order":"UP"}')),
      refused(txn('{"success":{}}')),
      refused(txn('{"success":[5]}')),
      refused(txn('{"success":[{"request_put":[]}]}')),
      refused(txn('{"success":[{"request_put":{"key":"*"}}]}')),
    ],
  },
  {
    name: "cluster and maintenance",
    steps: [
      { path: "/v3/cluster/member/list", body: "{}" },
      { path: "/v3/cluster/member/remove", body: '{"ID":"5"}' },
      { path: "/v3/cluster/member/remove", body: '{"ID":18446744073709551615}' },
      { path: "/v3/cluster/member/promote", body: '{"ID":5}' },
      { path: "/v3/cluster/member/update", body: '{"ID":5,"peerURLs":["http://127.0.0.1:9"]}' },
      { path: "/v3/cluster/member/add", body: '{"peerURLs":["nothing"]}' },
      { path: "/v3/cluster/member/add", body: "{}" },
    ],
  },
];
