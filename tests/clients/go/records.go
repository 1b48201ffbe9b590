package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The records that every client writes and reads: see ../README.md.

const (
	blockSize   = 65536
	largeLength = 20000
)

var block = makeBlock()

func makeBlock() []byte {
	made := make([]byte, blockSize)
	x := uint32(2463534242)
	for j := range made {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b := byte(x)
		if j >= 32768 {
			b = byte(97 + x&15)
		}
		if b == 9 || b == 10 {
			b = 95
		}
		made[j] = b
	}
	return made
}

func keyOf(i int64) []byte {
	if i%7 == 3 {
		return nil
	}
	return strconv.AppendInt([]byte("key-"), i%5000, 10)
}

func valueOf(seed, i int64) []byte {
	if i%13 == 5 {
		return nil
	}
	length := 20 + (i*31)%180
	if i%1000 == 999 {
		length = largeLength
	}
	start := (i*7919 + seed*104729) % (blockSize - largeLength)
	return append(fmt.Appendf(nil, "%d:%d:", seed, i), block[start:start+length]...)
}

func headersOf(i int64) []kgo.RecordHeader {
	both := []kgo.RecordHeader{
		{Key: "a", Value: strconv.AppendInt(nil, i, 10)},
		{Key: "b", Value: fmt.Appendf(nil, "é-%d", i%10)},
	}
	return both[:i%3]
}

func timestampOf(baseMs, i int64) int64 {
	return baseMs + i*3 - (i%5)*7
}

func recordOf(o *options, i int64) *kgo.Record {
	return &kgo.Record{
		Topic:     o.topic,
		Partition: int32(i % o.partitions),
		Key:       keyOf(i),
		Value:     valueOf(o.seed, i),
		Headers:   headersOf(i),
		Timestamp: time.UnixMilli(timestampOf(o.baseMs, i)),
	}
}

// verify compares a record with what its offset must hold.
func verify(o *options, r *kgo.Record) error {
	i := r.Offset*o.partitions + int64(r.Partition)
	wanted := recordOf(o, i)
	if o.shape == "plain" {
		wanted.Headers = []kgo.RecordHeader{{Key: "origin", Value: []byte("kcat")}}
		present := r.Timestamp.UnixMilli() >= o.baseMs && r.Timestamp.Before(time.Now().Add(time.Minute))
		if present {
			wanted.Timestamp = r.Timestamp
		}
	}
	wrong := ""
	switch {
	case !sameBytes(r.Key, wanted.Key):
		wrong = "key"
	case !sameBytes(r.Value, wanted.Value):
		wrong = "value"
	case !sameHeaders(r.Headers, wanted.Headers):
		wrong = "headers"
	case !r.Timestamp.Equal(wanted.Timestamp):
		wrong = "timestamp"
	default:
		return nil
	}
	return fmt.Errorf("record %d of seed %d at %d/%d: wrong %s: %.300q is not %.300q",
		i, o.seed, r.Partition, r.Offset, wrong, fmt.Sprint(*r), fmt.Sprint(*wanted))
}

// sameBytes tells null from empty, as Kafka does.
func sameBytes(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

func sameHeaders(a, b []kgo.RecordHeader) bool {
	if len(a) != len(b) {
		return false
	}
	for at := range a {
		if a[at].Key != b[at].Key || !sameBytes(a[at].Value, b[at].Value) {
			return false
		}
	}
	return true
}
