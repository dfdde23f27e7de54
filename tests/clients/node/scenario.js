// What the suites of tests/clients/scenario.py in this language share.

const { readFileSync } = require("node:fs");

const TOPIC = "suite";
const GROUP = "three";
const PATIENCE_MS = 60_000;
const [bootstrap, authority, username, password, token] = process.argv.slice(2);
// What lets a client in, where the broker asks for a login.
const login = authority && { authority, certificate: () => readFileSync(authority), username, password, token };
let failed = false;

async function step(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed = true;
    console.log(`fail ${name}: ${String(error).replaceAll("\n", " ")}`);
  }
}

// A step for each mechanism, where the broker asks for a login.
async function logins(produce) {
  for (const mechanism of login ? ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] : []) {
    await step(`login-${mechanism}`, () => produce(mechanism, values("login", 10)));
  }
}

function finish() {
  process.exit(failed ? 1 : 0);
}

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

function values(prefix, count) {
  return Array.from({ length: count }, (_, number) => `${prefix}-${number}`);
}

function same(got, wanted, what) {
  check(JSON.stringify(got) === JSON.stringify(wanted), `${what}: ${got.length} values instead of ${wanted.length}, or others`);
}

// Apache Kafka answers a change before its brokers know of it.
async function becomes(wanted, look) {
  const end = Date.now() + PATIENCE_MS;
  for (let found; (found = await look()) !== wanted; ) check(Date.now() < end, `${found} instead of ${wanted}`);
}

// Three members share two partitions, so that one has none.
function isShared(shares) {
  return JSON.stringify(Object.values(shares).sort()) === "[0,1,1]";
}

async function withAdmin(kafka, use) {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

// The end of the step `admin`: `empty` is the client's word for a group without members.
async function deleteAll(admin, empty) {
  const { groups } = await admin.listGroups();
  check(groups.some(({ groupId }) => groupId === GROUP), "the group is not listed");
  const described = await admin.describeGroups([GROUP]);
  check(described.groups[0].state === empty, `the group is ${described.groups[0].state}`);
  await admin.deleteGroups([GROUP]);
  await admin.deleteTopics({ topics: [TOPIC] });
  await becomes(false, async () => (await admin.listTopics()).includes(TOPIC));
}

module.exports = {
  TOPIC, GROUP, PATIENCE_MS, bootstrap, login, step, logins, finish, check, values, same, becomes, isShared, withAdmin, deleteAll,
};
