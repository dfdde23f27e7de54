// The admin calls that a console such as kafka-ui makes, with Apache Kafka's own client. Each succeeds, or is refused in the way
// that consoles take for "not there".

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.serialization.StringSerializer;

public class Console {
    static final String TOPIC = "console";
    static final TopicPartition PARTITION = new TopicPartition(TOPIC, 0);
    static final String GROUP = "watched";
    static boolean failed;

    interface Call {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(TOPIC, 2, (short) 1))).all().get();
            fill(settings);
            calls(admin);
            admin.deleteTopics(List.of(TOPIC)).all().get();
        }
        System.exit(failed ? 1 : 0);
    }

    static void fill(Properties settings) throws Exception {
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int number = 0; number < 10; number++) {
                producer.send(new ProducerRecord<>(TOPIC, 0, "key", "value")).get();
            }
        }
    }

    static long offset(Admin admin, OffsetSpec which) throws Exception {
        return got(admin.listOffsets(Map.of(PARTITION, which)).all()).get(PARTITION).offset();
    }

    static void calls(Admin admin) {
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
        call("describeCluster", () -> {
            DescribeClusterOptions all = new DescribeClusterOptions().includeAuthorizedOperations(true);
            check(admin.describeCluster(all).nodes().get().size() == 1, "not one node");
            check(!admin.describeCluster(all).clusterId().get().isEmpty(), "no cluster id");
            check(!admin.describeCluster(all).authorizedOperations().get().isEmpty(), "no operations");
        });
        call("describeConfigs", () -> {
            check(!got(admin.describeConfigs(List.of(broker)).all()).get(broker).entries().isEmpty(), "nothing of the broker");
            check(got(admin.describeConfigs(List.of(topic)).all()).get(topic).get("cleanup.policy") != null, "no cleanup.policy");
        });
        call("describeLogDirs", () -> {
            var dir = got(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1).values().iterator().next();
            check(dir.replicaInfos().get(PARTITION).size() > 0, "no size");
            check(dir.totalBytes().getAsLong() >= dir.usableBytes().getAsLong(), "no sizes of the disk");
        });
        call("listTopics", () -> check(got(admin.listTopics().names()).contains(TOPIC), "not listed"));
        call("describeTopics", () -> {
            DescribeTopicsOptions all = new DescribeTopicsOptions().includeAuthorizedOperations(true);
            var found = got(admin.describeTopics(List.of(TOPIC), all).allTopicNames()).get(TOPIC);
            check(found.partitions().size() == 2 && !found.authorizedOperations().isEmpty(), "" + found);
        });
        call("listOffsets", () -> {
            check(offset(admin, OffsetSpec.earliest()) == 0, "earliest: " + offset(admin, OffsetSpec.earliest()));
            check(offset(admin, OffsetSpec.latest()) == 10, "latest: " + offset(admin, OffsetSpec.latest()));
            // Records of one millisecond share the newest timestamp.
            long newest = offset(admin, OffsetSpec.maxTimestamp());
            check(newest >= 0 && newest < 10, "maxTimestamp: " + newest);
        });
        call("consumer groups", () -> {
            admin.alterConsumerGroupOffsets(GROUP, Map.of(PARTITION, new OffsetAndMetadata(4))).all().get();
            var offsets = got(admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata());
            check(offsets.get(PARTITION).offset() == 4, "" + offsets);
            check(got(admin.describeConsumerGroups(List.of(GROUP)).all()).containsKey(GROUP), "not described");
            admin.deleteConsumerGroupOffsets(GROUP, Set.of(PARTITION)).all().get();
            offsets = got(admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata());
            check(offsets.isEmpty(), "still there: " + offsets);
            admin.deleteConsumerGroups(List.of(GROUP)).all().get();
        });
        call("deleteRecords", () -> {
            var low = got(admin.deleteRecords(Map.of(PARTITION, RecordsToDelete.beforeOffset(3))).lowWatermarks().get(PARTITION));
            check(low.lowWatermark() == 3, "" + low.lowWatermark());
        });
        call("describeProducers", () -> {
            var producers = got(admin.describeProducers(List.of(PARTITION)).all()).get(PARTITION).activeProducers();
            check(producers.size() == 1 && producers.get(0).lastSequence() == 9, "" + producers);
        });
        call("describeFeatures", () -> got(admin.describeFeatures().featureMetadata()));
        call("describeUserScramCredentials", () -> got(admin.describeUserScramCredentials().all()));
        refused("describeAcls", SecurityDisabledException.class, () -> got(admin.describeAcls(AclBindingFilter.ANY).values()));
        refused("describeMetadataQuorum", UnsupportedVersionException.class, () -> got(admin.describeMetadataQuorum().quorumInfo()));
        call("clientQuotas", () -> {
            var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, GROUP));
            for (Double rate : new Double[] {1024.0, null}) {
                var change = List.of(new ClientQuotaAlteration.Op("producer_byte_rate", rate));
                admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, change))).all().get();
                var expected = rate == null ? null : Map.of("producer_byte_rate", rate);
                // Apache Kafka answers before all of its brokers know.
                Object found = "none yet";
                for (int attempt = 0; attempt < 100 && !Objects.equals(found, expected); attempt++) {
                    Thread.sleep(attempt * 10);
                    found = got(admin.describeClientQuotas(ClientQuotaFilter.all()).entities()).get(entity);
                }
                check(Objects.equals(found, expected), "" + found);
            }
        });
        refused("listTransactions", UnsupportedVersionException.class, () -> got(admin.listTransactions().all()));
    }

    static <T> T got(KafkaFuture<T> future) throws Exception {
        return future.get();
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }

    static void call(String name, Call call) {
        try {
            call.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("fail " + name + ": " + String.valueOf(error).replace('\n', ' '));
        }
    }

    static void refused(String name, Class<? extends Exception> how, Call call) {
        call(name, () -> {
            try {
                call.run();
            } catch (ExecutionException error) {
                check(how.isInstance(error.getCause()), "" + error.getCause());
                return;
            }
            throw new IllegalStateException("it was not refused");
        });
    }
}
