// The scenario of tests/clients/scenario.py with segmentio/kafka-go, which has no idempotent producer.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	. "tailrace/clients/scenario"
)

var (
	address = os.Args[1]
	client  = &kafka.Client{Addr: kafka.TCP(address), Timeout: Patience, Transport: transport}

	transport, dialer = connecting(Usual)
)

func main() {
	var sent []string
	Step("create", create)
	codecs := []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd}
	for number, name := range Codecs {
		values := Values(name, 200)
		sent = append(sent, values...)
		Step("produce-"+name, func() error { return produce(0, values, codecs[number]) })
	}
	Step("consume", func() error { return consume(sent) })
	Step("group", group)
	Step("resume", resume)
	Logins([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, func(mechanism string, values []string) error {
		by, _ := connecting(mechanism)
		return produceBy(by, 1, values, 0)
	})
	Step("admin", admin)
	End()
}

// connecting makes what writers and what readers connect with.
func connecting(mechanism string) (*kafka.Transport, *kafka.Dialer) {
	transport, dialer := &kafka.Transport{}, &kafka.Dialer{Timeout: 10 * time.Second, DualStack: true}
	if login := Required(); login != nil {
		by, err := loginBy(mechanism, login)
		if err != nil {
			panic(err)
		}
		transport.TLS, transport.SASL = login.TLS, by
		dialer.TLS, dialer.SASLMechanism = login.TLS, by
	}
	return transport, dialer
}

func loginBy(mechanism string, login *Login) (sasl.Mechanism, error) {
	switch mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: login.User, Password: login.Password}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, login.User, login.Password)
	default:
		return scram.Mechanism(scram.SHA512, login.User, login.Password)
	}
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Patience)
}

func create() error {
	ctx, cancel := limited()
	defer cancel()
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: Topic, NumPartitions: 2, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "3600000"}},
	}}})
	if err != nil {
		return err
	}
	if err = answer.Errors[Topic]; err != nil {
		return err
	}
	return Becomes("2 partitions", func() (string, error) {
		metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{Topic}})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d partitions", len(metadata.Topics[0].Partitions)), nil
	})
}

func produce(partition int, values []string, codec kafka.Compression) error {
	return produceBy(transport, partition, values, codec)
}

func produceBy(transport *kafka.Transport, partition int, values []string, codec kafka.Compression) error {
	fixed := kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition })
	writer := &kafka.Writer{
		Addr: kafka.TCP(address), Topic: Topic, Balancer: fixed, Compression: codec,
		Transport: transport, RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond,
	}
	ctx, cancel := limited()
	defer cancel()
	var messages []kafka.Message
	for _, value := range values {
		messages = append(messages, kafka.Message{Value: []byte(value)})
	}
	return errors.Join(writer.WriteMessages(ctx, messages...), writer.Close())
}

func consume(wanted []string) error {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{address}, Dialer: dialer, Topic: Topic, Partition: 0, MaxWait: 100 * time.Millisecond})
	defer reader.Close()
	ctx, cancel := limited()
	defer cancel()
	var values []string
	for len(values) < len(wanted) {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		values = append(values, string(message.Value))
	}
	return Same(values, wanted)
}

func member() *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{address}, Dialer: dialer, GroupID: Group, GroupTopics: []string{Topic}, MaxWait: 100 * time.Millisecond,
		StartOffset: kafka.FirstOffset, JoinGroupBackoff: 100 * time.Millisecond,
	})
}

// group counts what each member got. The reader does not tell its share, but who reads nothing has none.
func group() error {
	ctx, cancel := limited()
	defer cancel()
	ends, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		Topic: {kafka.LastOffsetOf(0), kafka.LastOffsetOf(1)},
	}})
	if err != nil {
		return err
	}
	var commits []kafka.OffsetCommit
	for _, end := range ends.Topics[Topic] {
		commits = append(commits, kafka.OffsetCommit{Partition: end.Partition, Offset: end.LastOffset})
	}
	_, err = client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: Group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{Topic: commits},
	})
	if err != nil {
		return err
	}
	readers := []*kafka.Reader{member(), member(), member()}
	for end := time.Now().Add(Patience); ; {
		described, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{Group}})
		if err != nil {
			return err
		}
		if found := described.Groups[0]; found.GroupState == "Stable" && len(found.Members) == 3 {
			break
		}
		if time.Now().After(end) {
			return errors.New("the three members found no agreement")
		}
		time.Sleep(100 * time.Millisecond)
	}
	left, right := Values("left", 150), Values("right", 150)
	if err = errors.Join(produce(0, left, 0), produce(1, right, 0)); err != nil {
		return err
	}
	var lock sync.Mutex
	var read []string
	shares := map[int]int{0: 0, 1: 0, 2: 0}
	done, finish := context.WithTimeout(context.Background(), Patience)
	defer finish()
	var members sync.WaitGroup
	for number, reader := range readers {
		members.Go(func() {
			for {
				message, err := reader.FetchMessage(done)
				if err != nil {
					return
				}
				lock.Lock()
				shares[number] = 1
				read = append(read, string(message.Value))
				all := len(read) >= 300
				lock.Unlock()
				if reader.CommitMessages(done, message) != nil || all {
					finish()
					return
				}
			}
		})
	}
	members.Wait()
	for _, reader := range readers {
		err = errors.Join(err, reader.Close())
	}
	if err == nil && !Shared(shares) {
		err = fmt.Errorf("shares %v", shares)
	}
	return errors.Join(err, EachOnce(read, append(left, right...)))
}

func resume() error {
	wanted := Values("resume", 100)
	if err := produce(1, wanted, 0); err != nil {
		return err
	}
	for _, half := range [][]string{wanted[:50], wanted[50:]} {
		ctx, cancel := limited()
		reader := member()
		var values []string
		var last kafka.Message
		var err error
		for len(values) < 50 && err == nil {
			if last, err = reader.FetchMessage(ctx); err == nil {
				values = append(values, string(last.Value))
			}
		}
		if err == nil {
			err = reader.CommitMessages(ctx, last)
		}
		cancel()
		if err = errors.Join(err, reader.Close(), Same(values, half)); err != nil {
			return err
		}
	}
	return nil
}

func admin() error {
	ctx, cancel := limited()
	defer cancel()
	for _, wanted := range []string{"3600000", "7200000"} {
		err := Becomes(wanted, func() (string, error) {
			found, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: Topic, ConfigNames: []string{"retention.ms"},
			}}})
			if err != nil {
				return "", err
			}
			return found.Resources[0].ConfigEntries[0].ConfigValue, nil
		})
		if err != nil {
			return err
		}
		changed, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafka.ResourceTypeTopic, ResourceName: Topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{
					Name: "retention.ms", Value: "7200000", ConfigOperation: kafka.ConfigOperationSet,
				}},
			}},
		})
		if err != nil {
			return err
		}
		if err = changed.Resources[0].Error; err != nil {
			return err
		}
	}
	listed, err := client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err != nil || len(listed.Groups) == 0 {
		return fmt.Errorf("the group is not listed: %w", err)
	}
	deleted, err := client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{Group}})
	if err == nil {
		err = deleted.Errors[Group]
	}
	if err != nil {
		return err
	}
	gone, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{Topic}})
	if err != nil {
		return err
	}
	if err = gone.Errors[Topic]; err != nil {
		return err
	}
	return Gone(func() (bool, error) {
		metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return false, err
		}
		there := func(topic kafka.Topic) bool { return topic.Name == Topic }
		return slices.ContainsFunc(metadata.Topics, there), nil
	})
}
