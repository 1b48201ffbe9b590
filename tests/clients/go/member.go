package main

import (
	"context"
	"errors"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// assignment is what this member owns; franz-go tells only what changes.
type assignment struct {
	mutex sync.Mutex
	owned map[int32]bool
}

func (a *assignment) change(partitions []int32, owned bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, partition := range partitions {
		delete(a.owned, partition)
		if owned {
			a.owned[partition] = true
		}
	}
	list := []int32{}
	for partition := range a.owned {
		list = append(list, partition)
	}
	say(result{"event": "assigned", "partitions": list})
}

// member processes, reports, commits, until SIGTERM.
func member(parent context.Context, o *options) (result, error) {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGTERM)
	defer stop()
	owned := &assignment{owned: map[int32]bool{}}
	gained := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		owned.change(partitions[o.topic], true)
	}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		owned.change(partitions[o.topic], false)
	}
	session := time.Duration(o.sessionMs) * time.Millisecond
	settings := []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	if o.protocol == "consumer" {
		settings = []kgo.Opt{kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer()}
	}
	client, err := o.client(append(settings,
		kgo.ConsumerGroup(o.group),
		kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(session/6),
		kgo.OnPartitionsAssigned(gained),
		kgo.OnPartitionsRevoked(lost),
		kgo.OnPartitionsLost(lost),
		kgo.BlockRebalanceOnPoll(),
	)...)
	if err != nil {
		return nil, err
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 500)
		for _, failed := range fetches.Errors() {
			if !errors.Is(failed.Err, context.Canceled) {
				return nil, failed.Err
			}
		}
		if err := process(parent, o, client, fetches); err != nil {
			return nil, err
		}
		client.AllowRebalance()
	}
	return nil, nil
}

func process(ctx context.Context, o *options, client *kgo.Client, fetches kgo.Fetches) error {
	var wrong error
	fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
		if len(fetched.Records) == 0 {
			return
		}
		first := fetched.Records[0].Offset
		for at, r := range fetched.Records {
			if r.Offset != first+int64(at) {
				wrong = errors.New("offsets of one run are not contiguous")
			} else if err := verify(o, r); err != nil {
				wrong = err
			}
		}
		say(result{
			"event": "processed", "partition": fetched.Partition,
			"from": first, "to": first + int64(len(fetched.Records)),
		})
	})
	if wrong != nil || fetches.NumRecords() == 0 {
		return wrong
	}
	err := client.CommitRecords(ctx, fetches.Records()...)
	if movedAway(err) {
		// Another member will process these again.
		return nil
	}
	return err
}

func movedAway(err error) bool {
	for _, moved := range []error{
		kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.StaleMemberEpoch,
	} {
		if errors.Is(err, moved) {
			return true
		}
	}
	return false
}

func committed(ctx context.Context, o *options) (result, error) {
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	found, err := kadm.NewClient(client).FetchOffsets(bounded, o.group)
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, o.partitions)
	for p := range offsets {
		offsets[p] = -1
		if offset, ok := found.Lookup(o.topic, int32(p)); ok {
			offsets[p] = offset.At
		}
	}
	ends, err := endOffsets(bounded, o, client)
	return result{"committed": offsets, "end": ends}, err
}
