package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transaction is the command of that name in ../README.md.
func transaction(parent context.Context, o *options) (result, error) {
	ctx, cancel := context.WithTimeout(parent, 30*time.Second)
	defer cancel()
	if _, err := create(ctx, o); err != nil {
		return nil, err
	}
	if _, err := produce(ctx, o); err != nil {
		return nil, err
	}
	// In a transaction, a group reads what it finds and writes it once more.
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(o.seeds()...),
		kgo.TransactionalID(o.topic),
		kgo.ConsumerGroup(o.group),
		kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequireStableFetchOffsets(),
	)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := passOn(ctx, o, session, end); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func passOn(ctx context.Context, o *options, session *kgo.GroupTransactSession, end kgo.TransactionEndTry) error {
	fetches := session.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return err
	}
	if err := session.Begin(); err != nil {
		return err
	}
	for i := range o.count {
		session.Produce(ctx, recordOf(o, i), func(*kgo.Record, error) {})
	}
	if err := session.Client().Flush(ctx); err != nil {
		return err
	}
	committed, err := session.End(ctx, end)
	if err == nil && committed != bool(end) {
		err = fmt.Errorf("the transaction ended as %v, not %v", committed, end)
	}
	return err
}
