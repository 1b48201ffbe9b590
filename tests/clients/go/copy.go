package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	copyBound = 100 * time.Second
	copyBatch = 40
	// abortsEach: every so many transactions one is aborted.
	abortsEach = 5
	// quietMax polls without a record end the check of the copy.
	quietMax = 4
	pollFor  = 500 * time.Millisecond
)

// copier is the command copy of ../README.md: each record of a topic once into another, whatever becomes of the brokers.
type copier struct {
	o            *options
	transactions int64
	renewals     int64
}

func copyTopic(parent context.Context, o *options) (result, error) {
	ctx, cancel := context.WithTimeout(parent, copyBound)
	defer cancel()
	c := copier{o: o}
	for {
		err := c.copy(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("not done in %v: %w", copyBound, err)
		}
		c.renewals++
	}
	if err := c.verify(ctx); err != nil {
		return nil, err
	}
	return result{"transactions": c.transactions, "renewals": c.renewals}, nil
}

// copy goes on until all is copied; an error: its producer cannot go on.
func (c *copier) copy(ctx context.Context) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(c.o.seeds()...),
		kgo.TransactionalID(c.o.group),
		kgo.TransactionTimeout(20*time.Second),
		kgo.ConsumerGroup(c.o.group),
		kgo.ConsumeTopics(c.o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequireStableFetchOffsets(),
		kgo.SessionTimeout(10*time.Second),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, pollFor)
		fetches := session.PollRecords(bounded, copyBatch)
		cancel()
		if fetches.NumRecords() > 0 {
			if err := c.passOn(ctx, session, fetches.Records()); err != nil {
				return err
			}
			continue
		}
		done, err := c.isDone(ctx, session.Client())
		if err == nil && done {
			return nil
		}
	}
	return ctx.Err()
}

func (c *copier) passOn(ctx context.Context, session *kgo.GroupTransactSession, records []*kgo.Record) error {
	c.transactions++
	if err := session.Begin(); err != nil {
		return err
	}
	var refused kgo.FirstErrPromise
	for _, r := range records {
		session.Produce(ctx, &kgo.Record{
			Topic:     c.o.topic + "-copy",
			Partition: r.Partition,
			Key:       r.Key,
			Value:     r.Value,
		}, refused.Promise())
	}
	good := refused.Err() == nil && c.transactions%abortsEach != 0
	// An end that is not a commit goes back to what is committed.
	_, err := session.End(ctx, kgo.TransactionEndTry(good))
	return err
}

func (c *copier) isDone(ctx context.Context, client *kgo.Client) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	offsets, err := kadm.NewClient(client).FetchOffsets(bounded, c.o.group)
	if err != nil {
		return false, err
	}
	committed := int64(0)
	offsets.Each(func(each kadm.OffsetResponse) { committed += each.At })
	return committed >= c.o.count, nil
}

// verify finds every record once in the copy, in order.
func (c *copier) verify(ctx context.Context) error {
	starts := map[int32]kgo.Offset{}
	following := make([]int64, c.o.partitions)
	for p := range c.o.partitions {
		starts[int32(p)] = kgo.NewOffset().At(0)
		following[p] = p
	}
	client, err := c.o.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.o.topic + "-copy": starts}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	read := int64(0)
	for quiet := 0; read < c.o.count || quiet < quietMax; {
		bounded, cancel := context.WithTimeout(ctx, pollFor)
		fetches := client.PollFetches(bounded)
		cancel()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d records of %d in the copy", read, c.o.count)
		}
		quiet++
		for _, r := range fetches.Records() {
			quiet = 0
			i := following[r.Partition]
			if !bytes.Equal(r.Key, keyOf(i)) || !bytes.Equal(r.Value, valueOf(c.o.seed, i)) {
				return fmt.Errorf("copy, partition %d, offset %d: not record %d", r.Partition, r.Offset, i)
			}
			following[r.Partition] += c.o.partitions
			read++
		}
	}
	if read != c.o.count {
		return fmt.Errorf("%d records in the copy, not %d", read, c.o.count)
	}
	return nil
}
