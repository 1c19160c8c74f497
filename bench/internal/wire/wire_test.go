package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// seen collects what a scanner finds.
type seen []string

func (s *seen) Event(id, data []byte) error {
	*s = append(*s, fmt.Sprintf("%s=%s", id, data))
	return nil
}

func (s *seen) Control(kind string, id []byte) error {
	*s = append(*s, fmt.Sprintf("%s!%s", id, kind))
	return nil
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunk(content string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(content), content) }

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	p := AppendPayload(nil, 1795179720258000123, 42)
	if len(p) != PayloadSize {
		t.Fatalf("%d bytes", len(p))
	}
	ns, number, err := ParsePayload(p)
	if err != nil || ns != 1795179720258000123 || number != 42 {
		t.Fatalf("got %d, %d, %v", ns, number, err)
	}
	if _, _, err := ParsePayload([]byte(strings.Repeat("x", PayloadSize))); err == nil {
		t.Error("took what is no payload")
	}
}

func TestScannerDoesNotCareWherePiecesEnd(t *testing.T) {
	payload := string(AppendPayload(nil, 1, 2))
	stream := head +
		chunk("retry: 1646\nid: 0-0\nevent: gateway.open\ndata: {}\n\n") +
		chunk(":\n") +
		chunk("id: 1-0\n") + chunk("data: a\n\n") + // id and rest apart
		chunk("id: 2-0\ndata: b\n\nid: 3-0\ndata: c\n\n") + // two in one
		chunk("id: 4") + chunk("-0\nevent: x\ndata: d\n") + chunk("\n") +
		string(AppendChunk(nil, "5-0", []byte(payload))) +
		"0\r\n\r\n"
	want := seen{"0-0!open", "1-0=a", "2-0=b", "3-0=c", "4-0=d", "5-0=" + payload}
	for size := 1; size <= len(stream); size++ {
		var got seen
		var s Scanner
		var scratch []byte
		var err error
		for piece := range slices.Chunk([]byte(stream), size) {
			if scratch, err = s.Feed(piece, scratch, &got); err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
		}
		if !slices.Equal(got, want) || !s.Ended() {
			t.Fatalf("pieces of %d: got %q, ended %v", size, got, s.Ended())
		}
	}
}

func TestScannerTakesNoOtherAnswer(t *testing.T) {
	for name, stream := range map[string]string{
		"an error":          "HTTP/1.1 503 Service Unavailable\r\n\r\n",
		"not chunked":       "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"a bad size":        head + "zz\r\n",
		"a missing line":    head + "2\r\n:\nxx",
		"an unknown line":   head + chunk("what: 1\n\n"),
		"more than the end": head + "0\r\n\r\nx",
	} {
		var s Scanner
		if _, err := s.Feed([]byte(stream), nil, &seen{}); err == nil {
			t.Errorf("took %s", name)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	var s Scanner
	s.SkipHead()
	var scratch, piece []byte
	for range 10 {
		piece = AppendChunk(piece, "1795179720258-0", AppendPayload(nil, 1795179720258000123, 42))
	}
	var h ignore
	for b.Loop() {
		scratch, _ = s.Feed(piece, scratch, h)
	}
}

type ignore struct{}

func (ignore) Event(_, data []byte) error {
	_, _, err := ParsePayload(data)
	return err
}
func (ignore) Control(string, []byte) error { return nil }
