package sse_test

import (
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/sse"
)

// Every sequence of four bytes from the edges of the ranges in Unicode's table 3-7.
func TestIllFormedUTF8IsReplacedAsTheEncodingStandardSays(t *testing.T) {
	edges := []byte{'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff}
	var stream strings.Builder
	var want []string
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				for _, d := range edges {
					text := string([]byte{a, b, c, d})
					stream.WriteString("data:" + text + "\n\n")
					want = append(want, decodeUTF8(text))
				}
			}
		}
	}
	got, err := decodeAll(strings.NewReader(stream.String()))
	if err != nil || len(got.events) != len(want) {
		t.Fatalf("%d events, %v", len(got.events), err)
	}
	for i, e := range got.events {
		if e.Data != want[i] {
			t.Fatalf("got %+q, want %+q", e.Data, want[i])
		}
	}
}

func TestSizeErrorsNameWhatAndHowMuch(t *testing.T) {
	_, err := decodeAll(strings.NewReader("data: abc\n\n"), sse.MaxEventSize(5))
	if want := "sse: line of more than 5 bytes"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
