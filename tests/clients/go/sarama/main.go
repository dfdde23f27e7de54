// The scenario of tests/clients/scenario.py with sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	. "tailrace/clients/scenario"
)

var brokers = []string{os.Args[1]}

func main() {
	var sent []string
	Step("create", create)
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for number, name := range Codecs {
		values := Values(name, 200)
		sent = append(sent, values...)
		Step("produce-"+name, func() error {
			return produce(0, values, func(config *sarama.Config) { config.Producer.Compression = codecs[number] })
		})
	}
	idempotent := Values("idempotent", 200)
	sent = append(sent, idempotent...)
	Step("produce-idempotent", func() error {
		return produce(0, idempotent, func(config *sarama.Config) {
			config.Producer.Idempotent = true
			config.Net.MaxOpenRequests = 1
		})
	})
	Step("consume", func() error { return consume(sent) })
	Step("group", group)
	Step("resume", resume)
	mechanisms := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
	Logins(mechanisms, func(mechanism string, values []string) error {
		return produce(1, values, func(config *sarama.Config) { logIn(config, Required(), mechanism) })
	})
	Step("admin", admin)
	End()
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V3_9_0_0
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	if login := Required(); login != nil {
		config.Net.TLS.Enable, config.Net.TLS.Config = true, login.TLS
		config.Net.SASL.Enable = true
		logIn(config, login, Usual)
	}
	return config
}

func logIn(config *sarama.Config, login *Login, mechanism string) {
	config.Net.SASL.Mechanism = sarama.SASLMechanism(mechanism)
	config.Net.SASL.User, config.Net.SASL.Password = login.User, login.Password
	config.Net.SASL.TokenProvider = token(login.Token)
	hash := scram.SHA512
	if mechanism == "SCRAM-SHA-256" {
		hash = scram.SHA256
	}
	config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: hash} }
}

type token string

func (t token) Token() (*sarama.AccessToken, error) {
	return &sarama.AccessToken{Token: string(t)}, nil
}

// scramClient is what sarama leaves to its users.
type scramClient struct {
	*scram.ClientConversation
	hash scram.HashGeneratorFcn
}

func (client *scramClient) Begin(user, password, authorizationID string) error {
	made, err := client.hash.NewClient(user, password, authorizationID)
	if err == nil {
		client.ClientConversation = made.NewConversation()
	}
	return err
}

func withAdmin(use func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin(brokers, settings())
	if err != nil {
		return err
	}
	defer admin.Close()
	return use(admin)
}

func create() error {
	return withAdmin(func(admin sarama.ClusterAdmin) error {
		retention := "3600000"
		detail := &sarama.TopicDetail{
			NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention},
		}
		if err := admin.CreateTopic(Topic, detail, false); err != nil {
			return err
		}
		return Becomes("2 partitions", func() (string, error) {
			found, err := admin.DescribeTopics([]string{Topic})
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%d partitions", len(found[0].Partitions)), nil
		})
	})
}

func produce(partition int32, values []string, change func(*sarama.Config)) error {
	config := settings()
	change(config)
	producer, err := sarama.NewSyncProducer(brokers, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, value := range values {
		messages = append(messages, &sarama.ProducerMessage{Topic: Topic, Partition: partition, Value: sarama.StringEncoder(value)})
	}
	return producer.SendMessages(messages)
}

func consume(wanted []string) error {
	consumer, err := sarama.NewConsumer(brokers, settings())
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(Topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer partition.Close()
	var values []string
	for late := time.After(Patience); len(values) < len(wanted); {
		select {
		case message := <-partition.Messages():
			values = append(values, string(message.Value))
		case <-late:
			return fmt.Errorf("%d values only", len(values))
		}
	}
	return Same(values, wanted)
}

// reader is a member of a group: it takes what it may and marks it.
type reader struct {
	take   func(value string) (more bool)
	shared func(partitions int)
	done   context.Context
}

func (r *reader) Setup(session sarama.ConsumerGroupSession) error {
	r.shared(len(session.Claims()[Topic]))
	return nil
}

func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			more := r.take(string(message.Value))
			session.MarkMessage(message, "")
			if !more {
				session.Commit()
				return nil
			}
		case <-r.done.Done():
			session.Commit()
			return nil
		case <-session.Context().Done():
			session.Commit()
			return nil
		}
	}
}

func group() error {
	err := withAdmin(func(sarama.ClusterAdmin) error {
		client, err := sarama.NewClient(brokers, settings())
		if err != nil {
			return err
		}
		defer client.Close()
		manager, err := sarama.NewOffsetManagerFromClient(Group, client)
		if err != nil {
			return err
		}
		defer manager.Close()
		for partition := range int32(2) {
			end, err := client.GetOffset(Topic, partition, sarama.OffsetNewest)
			if err != nil {
				return err
			}
			managed, err := manager.ManagePartition(Topic, partition)
			if err != nil {
				return err
			}
			managed.MarkOffset(end, "")
		}
		manager.Commit()
		return nil
	})
	left, right := Values("left", 150), Values("right", 150)
	same := func(*sarama.Config) {}
	if err = errors.Join(err, produce(0, left, same), produce(1, right, same)); err != nil {
		return err
	}
	ctx, finish := context.WithTimeout(context.Background(), Patience)
	defer finish()
	var lock sync.Mutex
	var read []string
	shares := map[int]int{}
	// Who leaves last gets the shares of the others, so it counts that it was so once.
	wasShared := false
	look := func() {
		wasShared = wasShared || Shared(shares)
		if len(read) >= 300 && wasShared {
			finish()
		}
	}
	failures := make(chan error, 3)
	for number := range 3 {
		member, err := sarama.NewConsumerGroup(brokers, Group, settings())
		if err != nil {
			return err
		}
		handler := &reader{done: ctx,
			take: func(value string) bool {
				lock.Lock()
				defer lock.Unlock()
				read = append(read, value)
				look()
				return true
			},
			shared: func(partitions int) {
				lock.Lock()
				defer lock.Unlock()
				shares[number] = partitions
				look()
			}}
		go func() {
			for ctx.Err() == nil {
				if err := member.Consume(ctx, []string{Topic}, handler); err != nil && ctx.Err() == nil {
					failures <- err
					return
				}
			}
			failures <- member.Close()
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
	if err := produce(1, wanted, func(*sarama.Config) {}); err != nil {
		return err
	}
	for _, half := range [][]string{wanted[:50], wanted[50:]} {
		ctx, finish := context.WithTimeout(context.Background(), Patience)
		member, err := sarama.NewConsumerGroup(brokers, Group, settings())
		if err != nil {
			finish()
			return err
		}
		var lock sync.Mutex
		var values []string
		handler := &reader{done: ctx, shared: func(int) {}, take: func(value string) bool {
			lock.Lock()
			defer lock.Unlock()
			values = append(values, value)
			return len(values) < 50
		}}
		err = member.Consume(ctx, []string{Topic}, handler)
		finish()
		if err = errors.Join(err, member.Close(), Same(values, half)); err != nil {
			return err
		}
	}
	return nil
}

func admin() error {
	return withAdmin(func(admin sarama.ClusterAdmin) error {
		longer := "7200000"
		for _, wanted := range []string{"3600000", longer} {
			err := Becomes(wanted, func() (string, error) {
				found, err := admin.DescribeConfig(sarama.ConfigResource{
					Type: sarama.TopicResource, Name: Topic, ConfigNames: []string{"retention.ms"},
				})
				if err != nil {
					return "", err
				}
				return found[0].Value, nil
			})
			if err != nil {
				return err
			}
			change := map[string]sarama.IncrementalAlterConfigsEntry{
				"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &longer},
			}
			if err = admin.IncrementalAlterConfig(sarama.TopicResource, Topic, change, false); err != nil {
				return err
			}
		}
		groups, err := admin.DescribeConsumerGroups([]string{Group})
		if err != nil {
			return err
		}
		if groups[0].State != "Empty" {
			return fmt.Errorf("the group is %s", groups[0].State)
		}
		listed, err := admin.ListConsumerGroups()
		if _, there := listed[Group]; err != nil || !there {
			return fmt.Errorf("the group is not listed: %w", err)
		}
		if err = errors.Join(admin.DeleteConsumerGroup(Group), admin.DeleteTopic(Topic)); err != nil {
			return err
		}
		return Gone(func() (bool, error) {
			topics, err := admin.ListTopics()
			_, there := topics[Topic]
			return there, err
		})
	})
}
