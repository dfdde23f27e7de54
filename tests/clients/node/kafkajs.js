// The scenario of tests/clients/scenario.py with kafkajs. Of the codecs it has gzip; the others are packages of their own.

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require("kafkajs");
const {
  TOPIC, GROUP, PATIENCE_MS, bootstrap, login, step, logins, finish, values, same, becomes, groupOfThree, resume, withAdmin, deleteAll,
} = require("./scenario");

const kafka = client("SCRAM-SHA-512");

function client(mechanism) {
  const security = login && {
    ssl: { ca: [login.certificate()] },
    sasl: { mechanism, username: login.username, password: login.password, oauthBearerProvider: async () => ({ value: login.token }) },
  };
  return new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, ...security });
}

async function produce(partition, messages, compression, idempotent = false, by = kafka) {
  const producer = by.producer({ idempotent, maxInFlightRequests: idempotent ? 1 : undefined });
  await producer.connect();
  await producer.send({
    topic: TOPIC,
    compression,
    acks: -1,
    messages: messages.map((value) => ({ value, partition })),
  });
  await producer.disconnect();
}

// Reads until `enough` says so; the member leaves by then.
async function read(groupId, enough, options = {}) {
  const consumer = kafka.consumer({ groupId, rebalanceTimeout: 10_000 });
  let share = 0;
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    share = (payload.memberAssignment[TOPIC] ?? []).length;
    options.holds?.(share);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true });
  const taken = [];
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  const timer = setInterval(() => enough(taken) && end(), 50);
  const late = setTimeout(end, PATIENCE_MS);
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      if (enough(taken)) return;
      taken.push(message.value.toString());
      options.taken?.(taken.at(-1));
      await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
    },
  });
  await ended;
  clearInterval(timer);
  clearTimeout(late);
  await consumer.disconnect();
  return taken;
}

async function create() {
  await withAdmin(kafka, async (admin) => {
    const configEntries = [{ name: "retention.ms", value: "3600000" }];
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 2, configEntries }] });
    await becomes(2, async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] }).catch(() => ({ topics: [] }));
      return topics[0]?.partitions.length;
    });
  });
}

async function group() {
  await withAdmin(kafka, async (admin) => {
    const ends = await admin.fetchTopicOffsets(TOPIC);
    const partitions = ends.map(({ partition, high }) => ({ partition, offset: high }));
    await admin.setOffsets({ groupId: GROUP, topic: TOPIC, partitions });
  });
  await groupOfThree(produce, read);
}

async function administer() {
  await withAdmin(kafka, async (admin) => {
    const resource = { type: ConfigResourceTypes.TOPIC, name: TOPIC };
    for (const wanted of ["3600000", "7200000"]) {
      await becomes(wanted, async () => {
        const { resources } = await admin.describeConfigs({ resources: [{ ...resource, configNames: ["retention.ms"] }] });
        return resources[0].configEntries[0].configValue;
      });
      await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: "retention.ms", value: "7200000" }] }] });
    }
    await deleteAll(admin, "Empty");
  });
}

async function main() {
  const sent = [];
  const send = (prefix, ...how) => async () => {
    sent.push(...values(prefix, 200));
    await produce(0, values(prefix, 200), ...how);
  };
  await step("create", create);
  await step("produce-none", send("none", CompressionTypes.None));
  await step("produce-gzip", send("gzip", CompressionTypes.GZIP));
  await step("produce-idempotent", send("idempotent", CompressionTypes.None, true));
  await step("consume", async () => same(await read("one", (taken) => taken.length >= sent.length), sent, "consume"));
  await step("group", group);
  await step("resume", () => resume(produce, read));
  await logins((mechanism, lines) => produce(1, lines, undefined, false, client(mechanism)));
  await step("admin", administer);
  finish();
}

main();
