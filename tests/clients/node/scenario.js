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

// Three members share two partitions, so that one has none; together they read what both got, each line once.
async function groupOfThree(produce, read) {
  const [left, right] = [values("left", 150), values("right", 150)];
  await produce(0, left);
  await produce(1, right);
  const all = [];
  const shares = {};
  // Who leaves last gets the shares of the others, so it counts that it was so once.
  let wasShared = false;
  const holds = (number) => (share) => {
    shares[number] = share;
    wasShared ||= JSON.stringify(Object.values(shares).sort()) === "[0,1,1]";
  };
  const done = () => all.length >= 300 && wasShared;
  const members = [0, 1, 2].map((number) => read(GROUP, done, { holds: holds(number), taken: (value) => all.push(value) }));
  await Promise.all(members);
  check(wasShared, `shares ${JSON.stringify(shares)}`);
  same(all.sort(), [...left, ...right].sort(), "group");
}

async function resume(produce, read) {
  const wanted = values("resume", 100);
  await produce(1, wanted);
  for (const half of [wanted.slice(0, 50), wanted.slice(50)]) {
    same(await read(GROUP, (taken) => taken.length >= 50), half, "resume");
  }
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
  TOPIC, GROUP, PATIENCE_MS, bootstrap, login, step, logins, finish, check, values, same, becomes, groupOfThree, resume,
  withAdmin, deleteAll,
};
