// The scenario of tests/clients/scenario.py, with Apache Kafka's own client. Written for its versions 2.8 to 4.x.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.auth.SaslExtensionsCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerTokenCallback;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Suite {
    static final String TOPIC = "suite";
    static final long PATIENCE_MS = 60_000;
    static String bootstrap;
    static Login login;
    static boolean failed;

    interface Step {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        if (args.length > 1) {
            login = new Login(args[1], args[2], args[3], args[4]);
        }
        step("create", Suite::create);
        List<String> sent = new ArrayList<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            step("produce-" + codec, () -> sent.addAll(produce(0, codec, 200, Map.of("compression.type", codec))));
        }
        Map<String, String> idempotent = Map.of("enable.idempotence", "true");
        step("produce-idempotent", () -> sent.addAll(produce(0, "idempotent", 200, idempotent)));
        step("consume", () -> consume(sent));
        step("group", Suite::group);
        step("resume", Suite::resume);
        if (login != null) {
            for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")) {
                step("login-" + mechanism, () -> produce(1, "login", 10, login.by(mechanism)));
            }
        }
        step("admin", Suite::admin);
        System.exit(failed ? 1 : 0);
    }

    static void step(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("fail " + name + ": " + String.valueOf(error).replace('\n', ' '));
            error.printStackTrace();
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }

    static Properties settings(Map<String, ?> more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        if (login != null) {
            settings.putAll(login.by("SCRAM-SHA-512"));
        }
        settings.putAll(more);
        return settings;
    }

    /** What lets a client in, by TLS and each mechanism. */
    record Login(String authority, String user, String password, String token) {
        Map<String, Object> by(String mechanism) {
            String module = mechanism.equals("PLAIN") ? "plain.Plain" : "scram.Scram";
            String options = " required username=\"" + user + "\" password=\"" + password + "\";";
            Map<String, Object> settings = new HashMap<>();
            if (mechanism.equals("OAUTHBEARER")) {
                module = "oauthbearer.OAuthBearer";
                options = " required token=\"" + token + "\";";
                settings.put("sasl.login.callback.handler.class", ShowsToken.class);
            }
            settings.put("security.protocol", "SASL_SSL");
            settings.put("ssl.truststore.type", "PEM");
            settings.put("ssl.truststore.location", authority);
            settings.put("sasl.mechanism", mechanism);
            settings.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + "LoginModule" + options);
            return settings;
        }
    }

    /** Shows the token that the login names; the client's own handlers of old versions know only unsecured ones. */
    public static class ShowsToken implements AuthenticateCallbackHandler {
        private String token;

        @Override
        public void configure(Map<String, ?> settings, String mechanism, List<AppConfigurationEntry> entries) {
            token = (String) entries.get(0).getOptions().get("token");
        }

        @Override
        public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
            for (Callback callback : callbacks) {
                if (callback instanceof OAuthBearerTokenCallback asked) {
                    asked.token(new Token(token, System.currentTimeMillis()));
                } else if (!(callback instanceof SaslExtensionsCallback)) {
                    throw new UnsupportedCallbackException(callback);
                }
            }
        }

        @Override
        public void close() {}
    }

    record Token(String value, long since) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public long lifetimeMs() {
            return since + 600_000;
        }

        @Override
        public String principalName() {
            return "suite";
        }

        @Override
        public Long startTimeMs() {
            return since;
        }
    }

    static void create() throws Exception {
        try (Admin admin = Admin.create(settings(Map.of()))) {
            NewTopic topic = new NewTopic(TOPIC, 2, (short) 1).configs(Map.of("retention.ms", "3600000"));
            admin.createTopics(List.of(topic)).all().get();
        }
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            check(producer.partitionsFor(TOPIC).size() == 2, "not two partitions");
        }
    }

    static KafkaProducer<String, String> producer(Map<String, ?> more) {
        return new KafkaProducer<>(settings(more), new StringSerializer(), new StringSerializer());
    }

    static List<String> produce(int partition, String prefix, int count, Map<String, ?> more) throws Exception {
        List<String> values = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer(more)) {
            List<Future<RecordMetadata>> acknowledged = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                values.add(prefix + "-" + number);
                acknowledged.add(producer.send(new ProducerRecord<>(TOPIC, partition, null, prefix + "-" + number)));
            }
            long before = -1;
            for (Future<RecordMetadata> one : acknowledged) {
                long offset = one.get().offset();
                check(offset > before, "offset " + offset + " after " + before);
                before = offset;
            }
        }
        return values;
    }

    static KafkaConsumer<String, String> consumer(Map<String, String> more) {
        Map<String, String> all = new HashMap<>(more);
        all.put("auto.offset.reset", "earliest");
        all.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(settings(all), new StringDeserializer(), new StringDeserializer());
    }

    static void consume(List<String> expected) {
        try (KafkaConsumer<String, String> consumer = consumer(Map.of())) {
            TopicPartition partition = new TopicPartition(TOPIC, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            check(take(consumer, expected.size()).equals(expected), "not what was produced");
        }
    }

    static List<String> take(KafkaConsumer<String, String> consumer, int count) {
        List<String> taken = new ArrayList<>();
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (taken.size() < count && System.currentTimeMillis() < end) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                taken.add(record.value());
            }
        }
        check(taken.size() == count, taken.size() + " records instead of " + count);
        return taken;
    }

    /** Reads with three members until all that is there was read and each knows its share. */
    static void group() throws Exception {
        // The group begins behind what the other steps left.
        Map<String, String> settings = Map.of("group.id", "three");
        try (KafkaConsumer<String, String> first = consumer(settings)) {
            List<TopicPartition> partitions = List.of(new TopicPartition(TOPIC, 0), new TopicPartition(TOPIC, 1));
            first.assign(partitions);
            first.seekToEnd(partitions);
            partitions.forEach(first::position);
            first.commitSync();
        }
        Set<String> expected = new TreeSet<>(produce(0, "left", 150, Map.of()));
        expected.addAll(produce(1, "right", 150, Map.of()));
        List<String> read = java.util.Collections.synchronizedList(new ArrayList<>());
        Map<Integer, Integer> shares = new java.util.concurrent.ConcurrentHashMap<>();
        // Who leaves last gets the shares of the others, so it counts that it was so once.
        java.util.concurrent.atomic.AtomicBoolean wasShared = new java.util.concurrent.atomic.AtomicBoolean();
        ExecutorService members = Executors.newFixedThreadPool(3);
        List<Future<Void>> done = new ArrayList<>();
        for (int member = 0; member < 3; member++) {
            int number = member;
            Callable<Void> work = () -> {
                try (KafkaConsumer<String, String> consumer = consumer(settings)) {
                    consumer.subscribe(List.of(TOPIC));
                    long end = System.currentTimeMillis() + PATIENCE_MS;
                    while (System.currentTimeMillis() < end && !(read.size() >= 300 && wasShared.get())) {
                        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                            read.add(record.value());
                        }
                        consumer.commitSync();
                        shares.put(number, consumer.assignment().size());
                        if (isShared(shares)) {
                            wasShared.set(true);
                        }
                    }
                }
                return null;
            };
            done.add(members.submit(work));
        }
        for (Future<Void> one : done) {
            one.get(2 * PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
        members.shutdown();
        check(wasShared.get(), "shares " + shares);
        check(read.size() == 300 && new TreeSet<>(read).equals(expected), read.size() + " read, or others than produced");
    }

    static boolean isShared(Map<Integer, Integer> shares) {
        Collection<Integer> sizes = new ArrayList<>(shares.values());
        return sizes.size() == 3 && sizes.stream().mapToInt(Integer::intValue).sum() == 2 && sizes.contains(0);
    }

    static void resume() throws Exception {
        List<String> expected = new ArrayList<>();
        Map<String, String> settings = Map.of("group.id", "three", "max.poll.records", "50");
        expected.addAll(produce(1, "resume", 100, Map.of()));
        try (KafkaConsumer<String, String> one = consumer(settings)) {
            one.subscribe(List.of(TOPIC));
            check(take(one, 50).equals(expected.subList(0, 50)), "not the first 50");
            one.commitSync();
        }
        try (KafkaConsumer<String, String> next = consumer(settings)) {
            next.subscribe(List.of(TOPIC));
            check(take(next, 50).equals(expected.subList(50, 100)), "not the other 50");
            next.commitSync();
        }
    }

    static void admin() throws Exception {
        try (Admin admin = Admin.create(settings(Map.of()))) {
            check(retention(admin).equals("3600000"), "retention.ms is not what it was created with");
            AlterConfigOp alter = new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource(), List.of(alter))).all().get();
            // Apache Kafka answers before its brokers know of the change.
            long end = System.currentTimeMillis() + PATIENCE_MS;
            while (!retention(admin).equals("7200000")) {
                check(System.currentTimeMillis() < end, "retention.ms was not altered");
                Thread.sleep(100);
            }
            boolean listed = admin.listConsumerGroups().all().get().stream().anyMatch(group -> group.groupId().equals("three"));
            check(listed, "the group is not listed");
            String state = admin.describeConsumerGroups(List.of("three")).all().get().get("three").state().toString();
            check(state.equalsIgnoreCase("Empty"), "the group is " + state);
            admin.deleteConsumerGroups(List.of("three")).all().get();
            admin.deleteTopics(List.of(TOPIC)).all().get();
            while (admin.listTopics().names().get().contains(TOPIC)) {
                check(System.currentTimeMillis() < end, "the topic is still there");
                Thread.sleep(100);
            }
        }
    }

    static ConfigResource resource() {
        return new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
    }

    static String retention(Admin admin) throws Exception {
        return admin.describeConfigs(List.of(resource())).all().get().get(resource()).get("retention.ms").value();
    }
}
