package sse_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases {
		if len(c.in) < 1000 {
			f.Add([]byte(c.in), "")
			f.Add([]byte(strings.ReplaceAll(c.in, "\n", "\r")), "0")
			f.Add([]byte(strings.ReplaceAll(c.in, "\n", "\r\n")), "7-0")
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, id string) {
		want := reference(string(stream), id)
		got, err := decodeAll(bytes.NewReader(stream), sse.InitialID(id))
		if err != nil || !got.equal(want) {
			t.Errorf("whole: %q\n got %+v, %v\nwant %+v", stream, got, err, want)
		}
		got, err = decodeAll(iotest.OneByteReader(bytes.NewReader(stream)), sse.InitialID(id))
		if err != nil || !got.equal(want) {
			t.Errorf("byte by byte: %q\n got %+v, %v\nwant %+v", stream, got, err, want)
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add("1", "add", "text", int64(1), "hello")
	f.Add("", "", "", int64(0), "")
	f.Add("1\ndata: x", "a\revent: b", "a\r\nb\rc\n\nid: 1\n", int64(-1), "c\ndata: x\n\n")
	f.Add("\x00", "\x00", "\x00\ufeff", int64(1<<62), "\r\r\n\n")
	f.Add(" 1 ", " a ", " x \n  y ", int64(time.Hour), " c")
	f.Add("\xff", "\xe2\x82", "\xf0\x9f\n\x92\xa9", int64(time.Second), "\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, id, typ, data string, retry int64, comment string) {
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		e := sse.Event{ID: id, Type: typ, Data: data, Retry: time.Duration(retry)}
		b, err := sse.Append(nil, e)
		if valid := !strings.ContainsAny(id, "\r\n\x00") && !strings.ContainsAny(typ, "\r\n"); valid != (err == nil) {
			t.Fatalf("valid %v, error %v", valid, err)
		}
		if err != nil {
			if len(b) != 0 {
				t.Fatalf("%q was appended in spite of %v", b, err)
			}
			return
		}
		b = sse.AppendComment(b, comment)
		b, err = sse.Append(b, sse.Event{Data: "next"})
		if err != nil {
			t.Fatal(err)
		}

		want := parsed{
			events: []sse.Event{
				{ID: decodeUTF8(id), Type: decodeUTF8(typ), Data: decodeUTF8(lines.Replace(data))},
				{ID: decodeUTF8(id), Data: "next"},
			},
			comments: strings.Split(decodeUTF8(lines.Replace(comment)), "\n"),
			lastID:   decodeUTF8(id),
		}
		if e.Retry >= time.Millisecond {
			want.retry, want.hasRetry = e.Retry.Truncate(time.Millisecond), true
			want.events[0].Retry = want.retry
		}
		if got := reference(string(b), ""); !got.equal(want) {
			t.Errorf("%q\n got %+v\nwant %+v", b, got, want)
		}
		if got, err := decodeAll(bytes.NewReader(b)); err != nil || !got.equal(want) {
			t.Errorf("%q\n got %+v, %v\nwant %+v", b, got, err, want)
		}
	})
}
