// The scenario of tests/clients/scenario.py with @confluentinc/kafka-javascript, which neither reads nor alters
// configurations.

const { KafkaJS } = require("@confluentinc/kafka-javascript");
const {
  TOPIC, GROUP, PATIENCE_MS, bootstrap, login, step, logins, finish, values, same, becomes, groupOfThree, resume, withAdmin, deleteAll,
} = require("./scenario");

const { CompressionTypes, ConsumerGroupStates, Kafka, logLevel } = KafkaJS;
const kafka = client("SCRAM-SHA-512");

function client(mechanism) {
  const token = async () => ({ value: login.token, principal: login.username, lifetime: Date.now() + 600_000 });
  const sasl = mechanism === "OAUTHBEARER" ? { oauthBearerProvider: token } : { username: login?.username, password: login?.password };
  const security = login && { ssl: true, sasl: { mechanism: mechanism.toLowerCase(), ...sasl } };
  const trust = login && { "ssl.ca.location": login.authority };
  return new Kafka({ kafkaJS: { brokers: [bootstrap], logLevel: logLevel.NOTHING, ...security }, ...trust });
}

async function produce(partition, lines, settings = {}, by = kafka) {
  const producer = by.producer({ kafkaJS: { acks: -1, ...settings } });
  await producer.connect();
  await producer.send({ topic: TOPIC, messages: lines.map((value) => ({ value, partition })) });
  await producer.disconnect();
}

function member(groupId) {
  return kafka.consumer({ kafkaJS: { groupId, fromBeginning: true, autoCommit: false, sessionTimeout: 10_000, rebalanceTimeout: 10_000 } });
}

// Reads until `enough` says so; the member leaves by then.
async function read(groupId, enough, options = {}) {
  const consumer = member(groupId);
  await consumer.connect();
  await consumer.subscribe({ topics: [TOPIC] });
  const taken = [];
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      if (enough(taken)) return;
      taken.push(message.value.toString());
      options.taken?.(taken.at(-1));
      await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
    },
  });
  for (const late = Date.now() + PATIENCE_MS; !enough(taken) && Date.now() < late; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    options.holds?.(consumer.assignment().length);
  }
  await consumer.disconnect();
  return taken;
}

async function create() {
  await withAdmin(kafka, async (admin) => {
    const configEntries = [{ name: "retention.ms", value: "3600000" }];
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 2, replicationFactor: 1, configEntries }] });
    await becomes(2, async () => {
      const topics = await admin.fetchTopicMetadata({ topics: [TOPIC] }).catch(() => []);
      return topics[0]?.partitions.length;
    });
  });
}

async function group() {
  // The group begins behind what the other steps left.
  const ends = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(TOPIC));
  const first = member(GROUP);
  await first.connect();
  await first.commitOffsets(ends.map(({ partition, high }) => ({ topic: TOPIC, partition, offset: high })));
  await first.disconnect();
  await groupOfThree(produce, read);
}

async function administer() {
  await withAdmin(kafka, (admin) => deleteAll(admin, ConsumerGroupStates.EMPTY));
}

async function main() {
  const sent = [];
  const send = (prefix, settings) => async () => {
    sent.push(...values(prefix, 200));
    await produce(0, values(prefix, 200), settings);
  };
  await step("create", create);
  for (const [name, compression] of Object.entries(CompressionTypes)) {
    await step(`produce-${name.toLowerCase()}`, send(name.toLowerCase(), { compression }));
  }
  await step("produce-idempotent", send("idempotent", { idempotent: true }));
  await step("consume", async () => same(await read("one", (taken) => taken.length >= sent.length), sent, "consume"));
  await step("group", group);
  await step("resume", () => resume(produce, read));
  await logins((mechanism, lines) => produce(1, lines, {}, client(mechanism)));
  await step("admin", administer);
  finish();
}

main();
