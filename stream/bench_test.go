package stream_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{50, 1000, 20_000} {
		for name, fields := range map[string][]string{
			"event":  {"event", "paid", "data", strings.Repeat("x", size)},
			"domain": {"name", "paid", "text", strings.Repeat("x", size)},
		} {
			e := stream.Entry{ID: stream.ID{Ms: base}, Fields: fields}
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					stream.Encode(e, 0)
				}
			})
		}
	}
}

func BenchmarkEnvelope(b *testing.B) {
	e := stream.Entry{ID: stream.ID{Ms: base}, Fields: []string{"data", strings.Repeat("x", 1000)}}
	b.ReportAllocs()
	for b.Loop() {
		stream.Encode(e, 0).Chunks(stream.FormEnvelope, "t")
	}
}

func BenchmarkAppendSuffix(b *testing.B) {
	for _, n := range []int{2, 8, 32} {
		rnd := rand.New(rand.NewPCG(1, 1))
		at := make([]stream.ID, n)
		for i := range at {
			at[i] = stream.ID{Ms: base + rnd.Uint64N(86_400_000), Seq: rnd.Uint64N(3)}
		}
		v := stream.NewVector(randomTopics(rnd, n))
		dst := make([]byte, 0, stream.MaxCursorLen)
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.AppendSuffix(dst, 0, at)
			}
		})
	}
}

func BenchmarkParseCursor(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	topics := randomTopics(rnd, 32)
	at := make([]stream.ID, 32)
	for i := range at {
		at[i] = stream.ID{Ms: base + rnd.Uint64N(86_400_000)}
	}
	text := cursorOf(topics, 0, at)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := stream.ParseCursor(text); err != nil {
			b.Fatal(err)
		}
	}
}
