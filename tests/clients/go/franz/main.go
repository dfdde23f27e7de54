// The scenario of tests/clients/scenario.py with franz-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	. "tailrace/clients/scenario"
)

var bootstrap = kgo.SeedBrokers(os.Args[1])

func main() {
	var sent []string
	Step("create", create)
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for number, name := range Codecs {
		values := Values(name, 200)
		sent = append(sent, values...)
		Step("produce-"+name, func() error {
			return produce(0, values, kgo.ProducerBatchCompression(codecs[number]), kgo.DisableIdempotentWrite())
		})
	}
	idempotent := Values("idempotent", 200)
	sent = append(sent, idempotent...)
	Step("produce-idempotent", func() error { return produce(0, idempotent) })
	Step("consume", func() error { return consume(sent) })
	Step("group", group)
	Step("resume", resume)
	mechanisms := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
	Logins(mechanisms, func(mechanism string, values []string) error { return produce(1, values, login(mechanism)) })
	Step("admin", admin)
	End()
}

func login(mechanism string) kgo.Opt {
	required := Required()
	auth := scram.Auth{User: required.User, Pass: required.Password}
	switch mechanism {
	case "PLAIN":
		return kgo.SASL(plain.Auth{User: required.User, Pass: required.Password}.AsMechanism())
	case "SCRAM-SHA-256":
		return kgo.SASL(auth.AsSha256Mechanism())
	case "SCRAM-SHA-512":
		return kgo.SASL(auth.AsSha512Mechanism())
	default:
		return kgo.SASL(oauth.Auth{Token: required.Token}.AsMechanism())
	}
}

// client takes the last of several options of a kind.
func client(options ...kgo.Opt) *kgo.Client {
	all := []kgo.Opt{bootstrap}
	if required := Required(); required != nil {
		all = append(all, kgo.DialTLSConfig(required.TLS), login(Usual))
	}
	made, err := kgo.NewClient(append(all, options...)...)
	if err != nil {
		panic(err)
	}
	return made
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Patience)
}

func create() error {
	admin := kadm.NewClient(client())
	defer admin.Close()
	ctx, cancel := limited()
	defer cancel()
	retention := "3600000"
	if _, err := admin.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": &retention}, Topic); err != nil {
		return err
	}
	return Becomes("2 partitions", func() (string, error) {
		topics, err := admin.ListTopics(ctx, Topic)
		return fmt.Sprintf("%d partitions", len(topics[Topic].Partitions)), err
	})
}

func produce(partition int32, values []string, options ...kgo.Opt) error {
	producer := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(Topic))...)
	defer producer.Close()
	ctx, cancel := limited()
	defer cancel()
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, &kgo.Record{Partition: partition, Value: []byte(value)})
	}
	return producer.ProduceSync(ctx, records...).FirstErr()
}

func poll(consumer *kgo.Client, most int, take func(*kgo.Record)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fetches := consumer.PollRecords(ctx, most)
	for _, failure := range fetches.Errors() {
		if !errors.Is(failure.Err, context.DeadlineExceeded) {
			return failure.Err
		}
	}
	fetches.EachRecord(take)
	return nil
}

func take(consumer *kgo.Client, count int) (values []string, err error) {
	for end := time.Now().Add(Patience); len(values) < count && time.Now().Before(end) && err == nil; {
		err = poll(consumer, count-len(values), func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values, err
}

func consume(wanted []string) error {
	consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{Topic: {0: kgo.NewOffset().AtStart()}}))
	defer consumer.Close()
	values, err := take(consumer, len(wanted))
	if err != nil {
		return err
	}
	return Same(values, wanted)
}

func member(options ...kgo.Opt) *kgo.Client {
	return client(append(options, kgo.ConsumerGroup(Group), kgo.ConsumeTopics(Topic), kgo.DisableAutoCommit())...)
}

func group() error {
	admin := kadm.NewClient(client())
	defer admin.Close()
	ctx, cancel := limited()
	defer cancel()
	ends, err := admin.ListEndOffsets(ctx, Topic)
	if err != nil {
		return err
	}
	if err = admin.CommitAllOffsets(ctx, Group, ends.Offsets()); err != nil {
		return err
	}
	left, right := Values("left", 150), Values("right", 150)
	if err = errors.Join(produce(0, left), produce(1, right)); err != nil {
		return err
	}
	var lock sync.Mutex
	var read []string
	shares, assigned := map[int]int{}, map[int]int{}
	// Who leaves last gets the shares of the others, so it counts that it was so once.
	wasShared := false
	done := func() bool {
		lock.Lock()
		defer lock.Unlock()
		wasShared = wasShared || Shared(shares)
		return len(read) >= 300 && wasShared
	}
	failures := make(chan error, 3)
	for number := range 3 {
		change := func(by int) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
				lock.Lock()
				defer lock.Unlock()
				assigned[number] += by * len(partitions[Topic])
			}
		}
		go func() {
			consumer := member(kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)))
			defer consumer.Close()
			var err error
			for end := time.Now().Add(Patience); !done() && time.Now().Before(end) && err == nil; {
				err = poll(consumer, 100, func(record *kgo.Record) {
					lock.Lock()
					defer lock.Unlock()
					read = append(read, string(record.Value))
				})
				ctx, cancel := limited()
				if err == nil {
					// A rebalance in between is no failure: what it takes away was committed before.
					_ = consumer.CommitUncommittedOffsets(ctx)
				}
				cancel()
				lock.Lock()
				shares[number] = assigned[number]
				lock.Unlock()
			}
			failures <- err
		}()
	}
	for range 3 {
		if err := <-failures; err != nil {
			return err
		}
	}
	if !wasShared {
		return fmt.Errorf("shares %v", shares)
	}
	return EachOnce(read, append(left, right...))
}

func resume() error {
	wanted := Values("resume", 100)
	if err := produce(1, wanted); err != nil {
		return err
	}
	for _, half := range [][]string{wanted[:50], wanted[50:]} {
		consumer := member()
		values, err := take(consumer, 50)
		if err == nil {
			ctx, cancel := limited()
			err = consumer.CommitUncommittedOffsets(ctx)
			cancel()
		}
		consumer.Close()
		if err = errors.Join(err, Same(values, half)); err != nil {
			return err
		}
	}
	return nil
}

func admin() error {
	admin := kadm.NewClient(client())
	defer admin.Close()
	ctx, cancel := limited()
	defer cancel()
	longer := "7200000"
	for _, wanted := range []string{"3600000", longer} {
		err := Becomes(wanted, func() (string, error) {
			configs, err := admin.DescribeTopicConfigs(ctx, Topic)
			if err != nil {
				return "", err
			}
			for _, config := range configs[0].Configs {
				if config.Key == "retention.ms" {
					return *config.Value, nil
				}
			}
			return "", errors.New("there is no retention.ms")
		})
		if err != nil {
			return err
		}
		change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &longer}}
		if _, err = admin.AlterTopicConfigs(ctx, change, Topic); err != nil {
			return err
		}
	}
	groups, err := admin.DescribeGroups(ctx, Group)
	if err != nil {
		return err
	}
	if groups[Group].State != "Empty" {
		return fmt.Errorf("the group is %s", groups[Group].State)
	}
	listed, err := admin.ListGroups(ctx)
	if _, there := listed[Group]; err != nil || !there {
		return fmt.Errorf("the group is not listed: %w", err)
	}
	if _, err = admin.DeleteGroup(ctx, Group); err != nil {
		return err
	}
	if _, err = admin.DeleteTopic(ctx, Topic); err != nil {
		return err
	}
	return Gone(func() (bool, error) {
		topics, err := admin.ListTopics(ctx)
		return topics.Has(Topic), err
	})
}
