// The program that drives franz-go under the contract of ../README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const silenceMax = 20 * time.Second

type options struct {
	command    string
	brokers    string
	topic      string
	partitions int64
	first      int64
	count      int64
	seed       int64
	baseMs     int64
	codec      string
	acks       string
	shape      string
	group      string
	sessionMs  int64
	protocol   string
}

func parseOptions(args []string) *options {
	o := &options{command: args[0]}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	flags.StringVar(&o.brokers, "brokers", "", "")
	flags.StringVar(&o.topic, "topic", "", "")
	flags.Int64Var(&o.partitions, "partitions", 1, "")
	flags.Int64Var(&o.first, "first", 0, "")
	flags.Int64Var(&o.count, "count", 1000, "")
	flags.Int64Var(&o.seed, "seed", 1, "")
	flags.Int64Var(&o.baseMs, "base-ms", 0, "")
	flags.StringVar(&o.codec, "codec", "none", "")
	flags.StringVar(&o.acks, "acks", "all", "")
	flags.StringVar(&o.shape, "shape", "full", "")
	flags.StringVar(&o.group, "group", "", "")
	flags.Int64Var(&o.sessionMs, "session-ms", 6000, "")
	flags.StringVar(&o.protocol, "protocol", "classic", "")
	_ = flags.Parse(args[1:])
	return o
}

// wantedIn is how many of the records 0 to count - 1 are in a partition.
func (o *options) wantedIn(partition int64) int64 {
	return (o.count - partition + o.partitions - 1) / o.partitions
}

// seeds are the addresses of any brokers of the cluster.
func (o *options) seeds() []string {
	return strings.Split(o.brokers, ",")
}

func (o *options) client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.seeds()...)}, more...)...)
}

type result map[string]any

var commands = map[string]func(context.Context, *options) (result, error){
	"create":      create,
	"produce":     produce,
	"consume":     consume,
	"roundtrip":   roundtrip,
	"member":      member,
	"follow":      follow,
	"committed":   committed,
	"admin":       admin,
	"transaction": transaction,
	"copy":        copyTopic,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: program COMMAND --flag value ...")
		os.Exit(1)
	}
	o := parseOptions(os.Args[1:])
	started := time.Now()
	line, err := commands[o.command](context.Background(), o)
	if err != nil {
		say(result{"ok": false, "command": o.command, "error": err.Error()})
		os.Exit(1)
	}
	if line == nil {
		line = result{}
	}
	line["ok"], line["command"], line["seconds"] = true, o.command, time.Since(started).Seconds()
	say(line)
}

func say(line result) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func create(ctx context.Context, o *options) (result, error) {
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = kadm.NewClient(client).CreateTopic(bounded, int32(o.partitions), -1, nil, o.topic)
	return nil, err
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func produce(ctx context.Context, o *options) (result, error) {
	settings := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[o.codec]),
		kgo.ProducerLinger(5 * time.Millisecond),
	}
	switch o.acks {
	case "all":
	case "1":
		settings = append(settings, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		settings = append(settings, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, fmt.Errorf("no acks %q", o.acks)
	}
	client, err := o.client(settings...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var refused error
	for i := o.first; i < o.first+o.count; i++ {
		client.Produce(ctx, recordOf(o, i), func(r *kgo.Record, err error) {
			if err == nil && o.acks != "0" && r.Offset != i/o.partitions {
				err = fmt.Errorf("record %d acknowledged at %d/%d", i, r.Partition, r.Offset)
			}
			if err != nil {
				refused = err
			}
		})
	}
	// Not by a delivery timeout: that one counts from the record's own timestamp.
	bounded, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	if err := client.Flush(bounded); err != nil {
		return nil, err
	}
	return result{"records": o.count}, refused
}

func consume(ctx context.Context, o *options) (result, error) {
	starts := map[int32]kgo.Offset{}
	for p := range o.partitions {
		starts[int32(p)] = kgo.NewOffset().At(0)
	}
	client, err := o.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: starts}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	position := make([]int64, o.partitions)
	read := int64(0)
	for read < o.count {
		bounded, cancel := context.WithTimeout(ctx, silenceMax)
		fetches := client.PollFetches(bounded)
		cancel()
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no record for %v, positions %v", silenceMax, position)
		}
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, r := range fetches.Records() {
			if r.Offset != position[r.Partition] {
				return nil, fmt.Errorf("offset %d of %d is missing: %d", position[r.Partition], r.Partition, r.Offset)
			}
			position[r.Partition]++
			if err := verify(o, r); err != nil {
				return nil, err
			}
			read++
		}
	}
	ends, err := endOffsets(ctx, o, client)
	if err != nil {
		return nil, err
	}
	for p, end := range ends {
		if end != o.wantedIn(int64(p)) {
			return nil, fmt.Errorf("partition %d ends at %d, not %d", p, end, o.wantedIn(int64(p)))
		}
	}
	return result{"records": read}, nil
}

func endOffsets(ctx context.Context, o *options, client *kgo.Client) ([]int64, error) {
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, o.topic)
	if err == nil {
		err = listed.Error()
	}
	ends := make([]int64, o.partitions)
	for p := range ends {
		found, _ := listed.Lookup(o.topic, int32(p))
		ends[p] = found.Offset
	}
	return ends, err
}

func roundtrip(ctx context.Context, o *options) (result, error) {
	if _, err := create(ctx, o); err != nil {
		return nil, err
	}
	if _, err := produce(ctx, o); err != nil {
		return nil, err
	}
	return consume(ctx, o)
}
