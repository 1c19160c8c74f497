package sse_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/sse"
)

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ name, data string }{
		{"100B", strings.Repeat("x", 100)},
		{"10KB", strings.Repeat("x", 10_000)},
		{"100lines", strings.Repeat("0123456789\n", 100)},
		{"100linesCRLF", strings.Repeat("0123456789\r\n", 100)},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := sse.Event{ID: "1712000000000-0", Type: "order.added", Data: c.data}
			buf, err := sse.Append(nil, e)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = sse.Append(buf[:0], e)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, data, end string }{
		{"100B", strings.Repeat("x", 100), "\n"},
		{"100BCR", strings.Repeat("x", 100), "\r"},
		{"10KB", strings.Repeat("x", 10_000), "\n"},
		{"100lines", strings.Repeat("0123456789\n", 100), "\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			const ids = 100 // a stream's ids differ, so each costs a string
			var all []byte
			for n := range ids {
				var err error
				all, err = sse.Append(all, sse.Event{ID: fmt.Sprint("17120000000", 10+n, "-0"), Type: "order.added", Data: c.data})
				if err != nil {
					b.Fatal(err)
				}
			}
			all = bytes.ReplaceAll(all, []byte("\n"), []byte(c.end))
			dec := sse.NewDecoder(&repeat{data: all})
			b.SetBytes(int64(len(all) / ids))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dec.Decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// repeat is an endless reader of the same bytes.
type repeat struct {
	data []byte
	off  int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.data[r.off:])
		n += c
		r.off = (r.off + c) % len(r.data)
	}
	return n, nil
}

var _ io.Reader = (*repeat)(nil)
