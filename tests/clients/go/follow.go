package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// follow reads a topic as it comes, whatever happens to it, and reports each record, until it is killed.
func follow(ctx context.Context, o *options) (result, error) {
	starts := map[int32]kgo.Offset{}
	for p := range o.partitions {
		starts[int32(p)] = kgo.NewOffset().AtStart()
	}
	assigned := map[string]map[int32]kgo.Offset{o.topic: starts}
	settings := []kgo.Opt{kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	if o.group != "" {
		settings = append(settings,
			kgo.ConsumerGroup(o.group),
			kgo.ConsumeTopics(o.topic),
			kgo.AutoCommitInterval(500*time.Millisecond),
		)
	} else {
		settings = append(settings, kgo.ConsumePartitions(assigned))
	}
	client, err := o.client(settings...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		recreated := false
		for _, failed := range fetches.Errors() {
			fmt.Fprintln(os.Stderr, failed.Topic, failed.Partition, failed.Err)
			recreated = recreated || errors.Is(failed.Err, kerr.UnknownTopicID)
		}
		for _, r := range fetches.Records() {
			say(result{"event": "read", "partition": r.Partition, "offset": r.Offset, "value": string(r.Value)})
		}
		if !recreated {
			continue
		}
		// franz-go stays with the topic that it met first; this is how it is told to take the new one.
		client.PurgeTopicsFromConsuming(o.topic)
		if o.group != "" {
			client.AddConsumeTopics(o.topic)
		} else {
			client.AddConsumePartitions(assigned)
		}
	}
}
