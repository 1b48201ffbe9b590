package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// administration is the command admin of ../README.md, over a topic that exists and has records.
type administration struct {
	o        *options
	client   *kadm.Client
	done     []string
	declined []string
	wrong    error
}

// failing is what most answers of kadm can say of themselves.
type failing interface{ Error() error }

func admin(parent context.Context, o *options) (result, error) {
	ctx, cancel := context.WithTimeout(parent, 60*time.Second)
	defer cancel()
	if _, err := create(ctx, o); err != nil {
		return nil, err
	}
	if _, err := produce(ctx, o); err != nil {
		return nil, err
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	a := &administration{o: o, client: kadm.NewClient(client), done: []string{}, declined: []string{}}
	a.cluster(ctx)
	a.configs(ctx)
	a.partitions(ctx)
	a.groups(ctx)
	a.security(ctx)
	deleted, err := a.client.DeleteTopics(ctx, o.topic)
	a.must("DeleteTopics", err)
	for _, topic := range deleted {
		a.must("DeleteTopics", topic.Err)
	}
	return result{"done": a.done, "declined": a.declined}, a.wrong
}

func (a *administration) cluster(ctx context.Context) {
	_, err := a.client.ListBrokers(ctx)
	a.must("ListBrokers", err)
	topics, err := a.client.ListTopics(ctx, a.o.topic)
	a.must("ListTopics", err, topics)
	_, err = a.client.ApiVersions(ctx)
	a.must("ApiVersions", err)
	_, err = a.client.DescribeAllLogDirs(ctx, a.set())
	a.must("DescribeAllLogDirs", err)
	_, err = a.client.ListTransactions(ctx, nil, nil)
	a.may("ListTransactions", err)
	_, err = a.client.DescribeTransactions(ctx, "none")
	a.may("DescribeTransactions", err)
}

func (a *administration) configs(ctx context.Context) {
	hour, minute := "3600000", "60000"
	retention := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &hour}}
	_, err := a.client.AlterTopicConfigs(ctx, retention, a.o.topic)
	a.must("AlterTopicConfigs", err)
	state := []kadm.AlterConfig{{Name: "retention.ms", Value: &minute}}
	_, err = a.client.AlterTopicConfigsState(ctx, state, a.o.topic)
	a.must("AlterTopicConfigsState", err)
	_, err = a.client.DescribeTopicConfigs(ctx, a.o.topic)
	a.must("DescribeTopicConfigs", err)
	_, err = a.client.ListConfigResources(ctx)
	a.may("ListConfigResources", err)
}

func (a *administration) partitions(ctx context.Context) {
	topic := a.o.topic
	grown, err := a.client.CreatePartitions(ctx, 1, topic)
	a.must("CreatePartitions", err, grown)
	started, err := a.client.ListStartOffsets(ctx, topic)
	a.must("ListStartOffsets", err, started)
	latest, err := a.client.ListMaxTimestampOffsets(ctx, topic)
	a.must("ListMaxTimestampOffsets", err, latest)
	later, err := a.client.ListOffsetsAfterMilli(ctx, a.o.baseMs, topic)
	a.must("ListOffsetsAfterMilli", err, later)
	_, err = a.client.DescribeProducers(ctx, a.set())
	a.must("DescribeProducers", err)
	epochs := kadm.OffsetForLeaderEpochRequest{}
	epochs.Add(topic, 0, 0)
	_, err = a.client.OffsetForLeaderEpoch(ctx, epochs)
	a.must("OffsetForLeaderEpoch", err)
	before := kadm.Offsets{}
	before.AddOffset(topic, 0, 1, -1)
	deleted, err := a.client.DeleteRecords(ctx, before)
	a.must("DeleteRecords", err, deleted)
	_, err = a.client.ListPartitionReassignments(ctx, a.set())
	a.must("ListPartitionReassignments", err)
	brokers, err := a.client.ListBrokers(ctx)
	a.must("ListBrokers", err)
	reassigned := kadm.AlterPartitionAssignmentsReq{}
	reassigned.Assign(topic, 0, brokers.NodeIDs())
	moved, err := a.client.AlterPartitionAssignments(ctx, reassigned)
	a.may("AlterPartitionAssignments", err, moved)
	_, err = a.client.ElectLeaders(ctx, kadm.ElectPreferredReplica, a.set())
	a.may("ElectLeaders", err)
	if _, err = create(ctx, a.o); err == nil {
		a.must("CreateTopic, refused", errors.New("the topic was created twice"))
	}
}

func (a *administration) groups(ctx context.Context) {
	group := a.o.topic + "-admin"
	offsets := kadm.Offsets{}
	// Partition 1 is there since CreatePartitions. A group is gone with its last offset in some brokers.
	for partition := range int32(2) {
		offsets.Add(kadm.Offset{
			Topic: a.o.topic, Partition: partition, At: 1, LeaderEpoch: -1, Metadata: "by hand",
		})
	}
	committed, err := a.client.CommitOffsets(ctx, group, offsets)
	a.must("CommitOffsets", err, committed)
	fetched, err := a.client.FetchOffsets(ctx, group)
	a.must("FetchOffsets", err, fetched)
	_, err = a.client.ListGroups(ctx)
	a.must("ListGroups", err)
	described, err := a.client.DescribeGroups(ctx, group)
	a.must("DescribeGroups", err, described)
	if a.o.group != "" {
		// One of them knows it: a group has one of the two protocols.
		described, err = a.client.DescribeGroups(ctx, a.o.group)
		a.may("DescribeGroups of members", err, described)
		newer, err := a.client.DescribeConsumerGroups(ctx, a.o.group)
		a.may("DescribeConsumerGroups of members", err, newer)
	}
	forgotten, err := a.client.DeleteOffsets(ctx, group, a.set())
	a.must("DeleteOffsets", err, forgotten)
	deleted, err := a.client.DeleteGroups(ctx, group)
	a.must("DeleteGroups", err, deleted)
}

func (a *administration) security(ctx context.Context) {
	acls := kadm.NewACLs().Topics(a.o.topic).Allow("User:tests").AllowHosts("*").
		Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral)
	_, err := a.client.CreateACLs(ctx, acls)
	a.may("CreateACLs", err)
	_, err = a.client.DescribeACLs(ctx, acls)
	a.may("DescribeACLs", err)
	_, err = a.client.DeleteACLs(ctx, acls)
	a.may("DeleteACLs", err)
	user := "tests"
	_, err = a.client.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &user}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1e6}},
	}})
	a.may("AlterClientQuotas", err)
	_, err = a.client.DescribeClientQuotas(ctx, false, nil)
	a.may("DescribeClientQuotas", err)
	_, err = a.client.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
		{User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "secret"},
	})
	a.may("AlterUserSCRAMs", err)
	_, err = a.client.DescribeUserSCRAMs(ctx, user)
	a.may("DescribeUserSCRAMs", err)
	_, err = a.client.CreateDelegationToken(ctx, kadm.CreateDelegationToken{})
	a.may("CreateDelegationToken", err)
}

// set is the topic's first partition.
func (a *administration) set() kadm.TopicsSet {
	set := kadm.TopicsSet{}
	set.Add(a.o.topic, 0)
	return set
}

// must is a step that every broker can do.
func (a *administration) must(name string, err error, answers ...failing) {
	if err = firstError(err, answers); err == nil {
		a.done = append(a.done, name)
	} else if a.wrong == nil {
		a.wrong = fmt.Errorf("%s: %w", name, err)
	}
}

// may is a step that a broker may decline, by an error or by not having the API.
func (a *administration) may(name string, err error, answers ...failing) {
	if firstError(err, answers) == nil {
		a.done = append(a.done, name)
	} else {
		a.declined = append(a.declined, name)
	}
}

func firstError(err error, answers []failing) error {
	for _, answer := range answers {
		if err == nil {
			err = answer.Error()
		}
	}
	return err
}
